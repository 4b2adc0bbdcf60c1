//! A simulated disk that distinguishes written and synced data.
//!
//! The bytes of a file are durable after a sync of the file, and a name after a sync of its directory. Nothing else
//! makes data durable: a sync of a file does not cover its name, and a sync of a directory does not cover its files'
//! bytes.

use super::record::Step;
use crate::support::sparse;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

/// The content of a file. The bytes after `bytes` up to `len` are zeros.
#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    pub(super) len: usize,
}

impl Content {
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[at..end].copy_from_slice(bytes);
        self.len = self.len.max(end);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
        self.len = len;
    }

    fn apply(&mut self, change: &Change) {
        match &change.what {
            Written::Bytes(at, bytes) => self.write(*at, bytes),
            Written::Len(len) => self.truncate(*len),
        }
    }

    fn hash(&self) -> u128 {
        xxh3_128(&self.bytes[..self.written()]).wrapping_add(self.len as u128)
    }

    /// Returns the number of bytes up to the last one that is not zero.
    fn written(&self) -> usize {
        let mut end = self.bytes.len();
        while end >= ZEROS.len() && self.bytes[end - ZEROS.len()..end] == ZEROS {
            end -= ZEROS.len();
        }
        self.bytes[..end].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
    }
}

#[derive(Clone)]
pub(super) enum Written {
    Bytes(usize, Arc<[u8]>),
    Len(usize),
}

/// An unsynced change of a file.
#[derive(Clone)]
pub(super) struct Change {
    /// Its position among all changes of all files.
    pub(super) order: u64,
    pub(super) what: Written,
}

/// An unsynced change of a directory.
#[derive(Clone)]
pub(super) enum Naming {
    Add(String, usize),
    Remove(String),
    Rename(String, String),
}

#[derive(Clone)]
pub(super) enum Node {
    File { synced: Arc<Content>, hash: u128, changes: Vec<Change> },
    Directory { synced: BTreeMap<String, usize>, changes: Vec<Naming> },
}

/// Decides which part of the unsynced data reaches the disk.
pub(super) trait Fate {
    fn content(&mut self, synced: &Content, changes: &[Change]) -> Content;
    /// Returns how many of a directory's changes reach the disk, from the first on.
    fn names(&mut self, changes: usize) -> usize;
}

#[derive(Clone)]
pub(super) struct Disk {
    nodes: Vec<Node>,
    /// The file of each name, as the running system sees it.
    names: BTreeMap<String, usize>,
    /// The file of each number in the record.
    files: HashMap<usize, usize>,
    order: u64,
}

const ROOT: usize = 0;
/// Comparing with these zeros is faster than checking each byte.
const ZEROS: [u8; 4096] = [0; 4096];

impl Default for Disk {
    fn default() -> Self {
        let root = Node::Directory { synced: BTreeMap::new(), changes: Vec::new() };
        Self { nodes: vec![root], names: BTreeMap::from([(String::new(), ROOT)]), files: HashMap::new(), order: 0 }
    }
}

impl Disk {
    pub(super) fn apply(&mut self, step: &Step) {
        self.order += 1;
        match step {
            Step::Create { file, name } => {
                let node = self.add(name, Node::file(Content::default()));
                self.files.insert(*file, node);
            }
            Step::Open { file, name } => drop(self.files.insert(*file, self.names[name])),
            Step::Directory { name } => {
                self.add(name, Node::Directory { synced: BTreeMap::new(), changes: Vec::new() });
            }
            Step::Write { file, at, bytes } => self.change(*file, Written::Bytes(*at, Arc::clone(bytes))),
            Step::Truncate { file, len } => self.change(*file, Written::Len(*len)),
            Step::Sync { file } => self.nodes[self.files[file]].sync(),
            Step::Rename { from, to } => {
                let node = self.names.remove(from).expect("it is there");
                assert!(matches!(self.nodes[node], Node::File { .. }), "a directory is renamed");
                self.names.insert(to.clone(), node);
                let ((parent, from), (parent_of_to, to)) = (split(from), split(to));
                assert_eq!(parent, parent_of_to, "moved to another directory");
                self.rename(parent, Naming::Rename(from.to_owned(), to.to_owned()));
            }
            Step::Remove { name } => {
                self.names.remove(name).expect("it is there");
                let (parent, name) = split(name);
                self.rename(parent, Naming::Remove(name.to_owned()));
            }
            Step::Begun(_) | Step::Acknowledged(_) => {}
        }
    }

    fn add(&mut self, name: &str, node: Node) -> usize {
        let number = self.nodes.len();
        self.nodes.push(node);
        self.names.insert(name.to_owned(), number);
        let (parent, name) = split(name);
        self.rename(parent, Naming::Add(name.to_owned(), number));
        number
    }

    fn rename(&mut self, parent: &str, change: Naming) {
        match &mut self.nodes[self.names[parent]] {
            Node::Directory { changes, .. } => changes.push(change),
            Node::File { .. } => panic!("{parent} is a file"),
        }
    }

    fn change(&mut self, file: usize, what: Written) {
        let Node::File { changes, .. } = &mut self.nodes[self.files[&file]] else { panic!("a directory is written") };
        changes.push(Change { order: self.order, what });
        // A small file that is overwritten and never synced would have ever more possible states. Keep forty.
        if changes.len() > 40 && changes.iter().all(|change| matches!(&change.what, Written::Bytes(0, _))) {
            changes.remove(0);
        }
    }

    /// Returns what the running system sees.
    pub(super) fn everything(&self) -> State {
        struct All;
        impl Fate for All {
            fn content(&mut self, synced: &Content, changes: &[Change]) -> Content {
                with_all(synced, changes)
            }
            fn names(&mut self, changes: usize) -> usize {
                changes
            }
        }
        self.crash(&mut All)
    }

    /// Returns what is left when the power is back.
    pub(super) fn crash(&self, fate: &mut impl Fate) -> State {
        let mut state = State::default();
        self.crash_below(ROOT, "", fate, &mut state);
        state
    }

    fn crash_below(&self, node: usize, name: &str, fate: &mut impl Fate, state: &mut State) {
        match &self.nodes[node] {
            Node::File { synced, hash, changes } => {
                let entry = if changes.is_empty() {
                    (Arc::clone(synced), *hash)
                } else {
                    let content = fate.content(synced, changes);
                    let hash = content.hash();
                    (Arc::new(content), hash)
                };
                state.files.insert(name.to_owned(), entry);
            }
            Node::Directory { synced, changes } => {
                let mut names = synced.clone();
                let survivors = if changes.is_empty() { 0 } else { fate.names(changes.len()) };
                for change in &changes[..survivors] {
                    change.apply(&mut names);
                }
                if !name.is_empty() {
                    state.directories.push(name.to_owned());
                }
                for (child, node) in names {
                    let child = if name.is_empty() { child } else { format!("{name}/{child}") };
                    self.crash_below(node, &child, fate, state);
                }
            }
        }
    }

    /// Returns whether all data is synced.
    pub(super) fn is_synced(&self) -> bool {
        self.nodes.iter().all(|node| match node {
            Node::File { changes, .. } => changes.is_empty(),
            Node::Directory { changes, .. } => changes.is_empty(),
        })
    }

    pub(super) fn order(&self) -> u64 {
        self.order
    }
}

pub(super) fn with_all(synced: &Content, changes: &[Change]) -> Content {
    let mut content = synced.clone();
    for change in changes {
        content.apply(change);
    }
    content
}

impl Node {
    fn file(content: Content) -> Self {
        Self::File { hash: content.hash(), synced: Arc::new(content), changes: Vec::new() }
    }

    fn sync(&mut self) {
        match self {
            Self::File { synced, hash, changes } => {
                if !changes.is_empty() {
                    let content = with_all(synced, changes);
                    (*hash, *synced) = (content.hash(), Arc::new(content));
                    changes.clear();
                }
            }
            Self::Directory { synced, changes } => changes.drain(..).for_each(|change| change.apply(synced)),
        }
    }
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Add(name, node) => drop(names.insert(name.clone(), *node)),
            Self::Remove(name) => drop(names.remove(name)),
            Self::Rename(from, to) => {
                let node = names.remove(from).expect("changes of a directory are in order");
                names.insert(to.clone(), node);
            }
        }
    }
}

fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

/// Files and directories by name.
#[derive(Clone, Default)]
pub(super) struct State {
    directories: Vec<String>,
    files: BTreeMap<String, (Arc<Content>, u128)>,
}

impl State {
    pub(super) fn hash(&self) -> u128 {
        let mut hasher = Xxh3Default::new();
        for name in &self.directories {
            hasher.update(name.as_bytes());
            hasher.update(b"/");
        }
        for (name, (_, hash)) in &self.files {
            hasher.update(name.as_bytes());
            hasher.update(b":");
            hasher.update(&hash.to_le_bytes());
        }
        hasher.digest128()
    }

    /// Returns each file's name, the number of its written bytes, and its length.
    pub(super) fn lengths(&self) -> impl Iterator<Item = (String, usize, usize)> {
        self.files.iter().map(|(name, (content, _))| (name.clone(), content.written(), content.len))
    }

    pub(super) fn bytes(&self, name: &str) -> &[u8] {
        &self.files[name].0.bytes
    }

    /// Returns the state with some bits of one byte flipped.
    pub(super) fn flipped(&self, name: &str, at: usize, mask: u8) -> Self {
        let mut state = self.clone();
        let (content, _) = state.files.get_mut(name).expect("a file");
        let content = Arc::make_mut(content);
        let byte = content.bytes.get(at).copied().unwrap_or(0) ^ mask;
        content.write(at, &[byte]);
        state
    }

    /// Returns what a directory holds.
    pub(super) fn read(root: &Path) -> Self {
        let mut state = Self::default();
        state.read_below(root, root);
        state
    }

    fn read_below(&mut self, root: &Path, folder: &Path) {
        for entry in fs::read_dir(folder).expect("a directory") {
            let path = entry.expect("readable").path();
            let name = path.strip_prefix(root).expect("below").to_str().expect("plain").to_owned();
            if path.is_dir() {
                self.directories.push(name);
                self.read_below(root, &path);
                continue;
            }
            let file = File::open(&path).expect("readable");
            let mut content = Content::default();
            for (at, piece) in sparse::pieces(&file).expect("readable") {
                content.write(usize::try_from(at).expect("a usize"), &piece);
            }
            content.len = usize::try_from(file.metadata().expect("readable").len()).expect("a usize");
            let hash = content.hash();
            self.files.insert(name, (Arc::new(content), hash));
        }
    }

    /// Creates the directory with all its files.
    pub(super) fn write(&self, root: &Path) {
        fs::create_dir(root).expect("made");
        for name in &self.directories {
            fs::create_dir(root.join(name)).expect("made");
        }
        for (name, (content, _)) in &self.files {
            let file = File::create(root.join(name)).expect("made");
            file.write_all_at(&content.bytes, 0).expect("written");
            if content.len != content.bytes.len() {
                file.set_len(content.len as u64).expect("a length");
            }
        }
    }

    /// Returns a disk on which this state is synced.
    pub(super) fn to_disk(&self) -> Disk {
        let mut disk = Disk::default();
        for name in &self.directories {
            disk.apply(&Step::Directory { name: name.clone() });
        }
        for (name, (content, _)) in &self.files {
            disk.add(name, Node::file(Content::clone(content)));
        }
        for node in &mut disk.nodes {
            node.sync();
        }
        disk
    }

    /// Fails if the directory holds anything else.
    pub(super) fn expect_at(&self, root: &Path) {
        let mut files = 0;
        let mut waiting = vec![root.to_owned()];
        while let Some(next) = waiting.pop() {
            for entry in fs::read_dir(next).expect("a directory") {
                let path = entry.expect("readable").path();
                let name = path.strip_prefix(root).expect("below").to_str().expect("plain").to_owned();
                if path.is_dir() {
                    assert!(self.directories.contains(&name), "{name} was not recorded");
                    waiting.push(path);
                } else if name != super::diary::NAME {
                    let (content, _) = self.files.get(&name).unwrap_or_else(|| panic!("{name} was not recorded"));
                    let bytes = fs::read(&path).expect("readable");
                    let same = bytes.len() == content.len && bytes.starts_with(&content.bytes);
                    let mut rest = bytes[content.bytes.len().min(bytes.len())..].chunks(ZEROS.len());
                    assert!(same && rest.all(|rest| *rest == ZEROS[..rest.len()]), "{name} is not as recorded");
                    files += 1;
                }
            }
        }
        assert_eq!(files, self.files.len(), "files that are gone were recorded");
    }
}
