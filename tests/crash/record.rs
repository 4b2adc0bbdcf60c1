//! The record of a process's file operations, in order.

use super::diary;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// One operation. Names are relative to the root. Descriptors are resolved to the numbers that `Open` assigned.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Create {
        file: usize,
        name: String,
    },
    Open {
        file: usize,
        name: String,
    },
    Directory {
        name: String,
    },
    Write {
        file: usize,
        at: usize,
        bytes: Arc<[u8]>,
    },
    Truncate {
        file: usize,
        len: usize,
    },
    Sync {
        file: usize,
    },
    Rename {
        from: String,
        to: String,
    },
    Remove {
        name: String,
    },
    /// The batch with this number was submitted.
    Begun(u64),
    /// The batch with this number was acknowledged.
    Acknowledged(u64),
}

pub(super) struct Record {
    pub(super) steps: Vec<Step>,
}

impl Record {
    /// Fails unless journals were sealed and removed, and tables written and merged, because bugs hide there.
    pub(super) fn expect_rotations(&self) {
        let count = |is: &dyn Fn(&Step) -> bool| self.steps.iter().filter(|step| is(step)).count();
        let journals = count(&|step| matches!(step, Step::Create { name, .. } if name.ends_with(".jnl")));
        let old_journals = count(&|step| matches!(step, Step::Remove { name } if name.ends_with(".jnl")));
        let tables = count(&|step| matches!(step, Step::Create { name, .. } if name.contains("/tables/")));
        let merged = count(&|step| matches!(step, Step::Remove { name } if name.contains("/tables/")));
        let seen = [journals, old_journals, tables, merged];
        assert!(seen.iter().all(|count| *count > 0), "journals, removed, tables, removed: {seen:?}");
    }

    /// Adds the entries of a diary to the record of a process without one: the process begins and ends an upkeep.
    pub(super) fn keep_diary(&mut self) {
        self.steps.insert(0, Step::Begun(1));
        self.steps.push(Step::Acknowledged(1));
    }

    pub(super) fn has_diary(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Begun(_)))
    }

    pub(super) fn read(file: &Path, root: &Path) -> Self {
        let bytes = fs::read(file).expect("a record");
        let root = root.to_str().expect("a plain path");
        let relative = |name: &[u8]| {
            let name = std::str::from_utf8(name).expect("a plain path").strip_prefix(root).expect("below the root");
            name.trim_start_matches('/').to_owned()
        };
        let (mut steps, mut open, mut files, mut diary) = (Vec::new(), HashMap::new(), 0, None);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (line, behind) = Line::parse(rest);
            rest = behind;
            let descriptor = line.a;
            let file = |open: &HashMap<u64, usize>| *open.get(&descriptor).expect("an open file");
            let number = |value: u64| usize::try_from(value).expect("a usize");
            match line.kind {
                b'c' | b'o' if relative(line.x) == diary::NAME => diary = Some(descriptor),
                b'w' if diary == Some(descriptor) => steps.extend(entries(line.x)),
                b'x' if diary == Some(descriptor) => diary = None,
                b's' | b't' if diary == Some(descriptor) => {}
                b'c' => {
                    files += 1;
                    open.insert(descriptor, files);
                    steps.push(Step::Create { file: files, name: relative(line.x) });
                }
                b'o' => {
                    // A new file's open call comes directly after its creation.
                    if !matches!(steps.last(), Some(Step::Create { name, .. }) if *name == relative(line.x)) {
                        files += 1;
                        open.insert(descriptor, files);
                        steps.push(Step::Open { file: files, name: relative(line.x) });
                    }
                }
                b'd' => {
                    let same = file(&open);
                    open.insert(line.b, same);
                }
                b'x' => drop(open.remove(&descriptor)),
                b'w' => steps.push(Step::Write { file: file(&open), at: number(line.b), bytes: line.x.into() }),
                b't' => steps.push(Step::Truncate { file: file(&open), len: number(line.b) }),
                b's' => steps.push(Step::Sync { file: file(&open) }),
                b'm' => steps.push(Step::Directory { name: relative(line.x) }),
                b'r' => steps.push(Step::Rename { from: relative(line.x), to: relative(line.y) }),
                b'u' => steps.push(Step::Remove { name: relative(line.x) }),
                kind => panic!("a line of kind {kind}"),
            }
        }
        Self { steps }
    }
}

fn entries(text: &[u8]) -> Vec<Step> {
    let text = std::str::from_utf8(text).expect("text");
    let entry = |line: &str| {
        let number = line[1..].parse().expect("a number");
        if line.starts_with('B') { Step::Begun(number) } else { Step::Acknowledged(number) }
    };
    text.lines().map(entry).collect()
}

struct Line<'a> {
    kind: u8,
    a: u64,
    b: u64,
    x: &'a [u8],
    y: &'a [u8],
}

impl<'a> Line<'a> {
    fn parse(bytes: &'a [u8]) -> (Self, &'a [u8]) {
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let len_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes")) as usize;
        let (x, y) = (len_at(17), len_at(21));
        let line =
            Self { kind: bytes[0], a: u64_at(1), b: u64_at(9), x: &bytes[25..25 + x], y: &bytes[25 + x..25 + x + y] };
        (line, &bytes[25 + x + y..])
    }
}
