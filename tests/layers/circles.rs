//! Finds circles of files: files that name each other in a loop, so that none can be understood first.
//!
//! A file names another one if a path in it leads to an item that the other one defines. A re-export leads to the file
//! that defines the item, and re-exporting an item does not count as naming it. Nor does a folder's face count as naming
//! its own parts: `plan/mod.rs` defines the plan, and the files beside it hold the plan's parts and methods. Test modules
//! are left out.

use super::{absolute, modules_of, paths, use_tree};
use std::collections::{BTreeMap, BTreeSet};

/// More files than this must not be in one circle.
const MOST_FILES: usize = 2;

/// Returns the circles with more than [`MOST_FILES`] files, as text. `sources` holds the tokens of each file.
pub(super) fn too_large(sources: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let named = Files::of(sources).arrows(sources);
    let mut circles = BTreeSet::new();
    for file in named.keys() {
        let reached = reached_from(file, &named);
        let circle: Vec<&str> =
            reached.iter().filter(|other| reached_from(other, &named).contains(file)).copied().collect();
        if circle.len() > MOST_FILES {
            circles.insert(circle.join(", "));
        }
    }
    circles.into_iter().map(|circle| format!("a circle of files: {circle}")).collect()
}

/// Returns all files that a file names, directly or through others.
fn reached_from<'a>(file: &str, named: &'a BTreeMap<&str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<&str> = named[file].iter().copied().collect();
    while let Some(next) = waiting.pop() {
        if reached.insert(next) {
            waiting.extend(&named[next]);
        }
    }
    reached
}

/// The files by module path, and the names that they re-export.
struct Files<'a> {
    by_module: BTreeMap<Vec<String>, &'a str>,
    reexports: BTreeMap<Vec<String>, Vec<String>>,
}

impl<'a> Files<'a> {
    fn of(sources: &'a BTreeMap<String, Vec<String>>) -> Self {
        let by_module = sources.keys().map(|file| (module_of(file), file.as_str())).collect();
        let mut reexports = BTreeMap::new();
        for (file, tokens) in sources {
            let here = module_of(file);
            for leaf in pub_uses(tokens) {
                let mut name = here.clone();
                name.push(leaf[leaf.len() - 1].clone());
                let leaf = if is_absolute(&leaf) { absolute(&leaf, &here) } else { [here.clone(), leaf].concat() };
                reexports.insert(name, leaf);
            }
        }
        Self { by_module, reexports }
    }

    /// Returns the files that each file names.
    fn arrows(&self, sources: &'a BTreeMap<String, Vec<String>>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
        let mut arrows = BTreeMap::new();
        for (file, tokens) in sources {
            let here = module_of(file);
            let mut tokens = without_pub_uses(without_tests(tokens));
            if here.first().is_some_and(|first| first == "bin") {
                tokens = tokens.into_iter().flat_map(in_program).collect();
            }
            let named = paths(&tokens, &here).into_iter().filter_map(|path| self.file_of(&path));
            let is_part = |other: &&str| module_of(other).starts_with(&here);
            arrows.insert(file.as_str(), named.filter(|other| !is_part(other)).collect());
        }
        arrows
    }

    /// Returns the file that defines what an absolute path names. A glob, or a name that a face file defines itself,
    /// leads to that face.
    fn file_of(&self, path: &[String]) -> Option<&'a str> {
        let mut path = path.to_vec();
        // A re-export may lead to another one.
        for _ in 0..4 {
            let found = (1..=path.len()).find_map(|len| Some((len, self.reexports.get(&path[..len])?)));
            let Some((len, target)) = found else { break };
            path = [&target[..], &path[len..]].concat();
        }
        (1..=path.len()).rev().find_map(|len| self.by_module.get(&path[..len]).copied())
    }
}

fn is_absolute(path: &[String]) -> bool {
    ["crate", "super", "self"].contains(&path[0].as_str())
}

/// Returns the module path of a file. Files of the program are modules below `bin`.
fn module_of(file: &str) -> Vec<String> {
    match file.strip_prefix("bin/dialback/") {
        Some("main.rs") => vec!["bin".into()],
        Some(below) => [vec!["bin".into()], modules_of(below)].concat(),
        None => modules_of(file),
    }
}

/// Returns a token of a file of the program, in which `crate` is the program.
fn in_program(token: String) -> Vec<String> {
    if token == "crate" { ["dialback", "::", "bin"].map(str::to_owned).into() } else { vec![token] }
}

fn without_tests(tokens: &[String]) -> &[String] {
    let is_test_module = |window: &[String]| window.join(" ") == "cfg ( test ) ] mod";
    let end = tokens.windows(6).position(is_test_module);
    &tokens[..end.unwrap_or(tokens.len())]
}

/// Returns the places at which a `use` with a visibility begins.
fn pub_use_places(tokens: &[String]) -> impl Iterator<Item = usize> {
    (1..tokens.len()).filter(|place| tokens[*place] == "use" && ["pub", ")"].contains(&tokens[place - 1].as_str()))
}

fn pub_uses(tokens: &[String]) -> Vec<Vec<String>> {
    let mut leaves = Vec::new();
    for place in pub_use_places(tokens) {
        use_tree(tokens, &mut (place + 1), &[], &mut leaves);
    }
    leaves
}

fn without_pub_uses(tokens: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut from = 0;
    for place in pub_use_places(tokens) {
        kept.extend_from_slice(&tokens[from..place]);
        from = (place..tokens.len()).find(|end| tokens[*end] == ";").unwrap_or(tokens.len());
    }
    kept.extend_from_slice(&tokens[from..]);
    kept
}

/// Canaries: circles that must be found, and loops that are none.
mod canary {
    use super::super::tokens;
    use super::*;

    fn planted(files: &[(&str, &str)]) -> Vec<String> {
        too_large(&files.iter().map(|(file, source)| ((*file).to_owned(), tokens(source))).collect())
    }

    #[test]
    fn circle_of_three_files_is_found_by_any_way_of_naming() {
        let found = planted(&[
            ("plan/mod.rs", "pub use entry::Entry; mod entry; mod slots; mod view;"),
            ("plan/entry.rs", "use super::slots::Slots; pub struct Entry;"),
            ("plan/slots.rs", "pub struct Slots; fn f(view: &super::view::View) {}"),
            ("plan/view.rs", "pub struct View; fn f(entry: &crate::plan::Entry) {}"),
        ]);
        assert_eq!(found, ["a circle of files: plan/entry.rs, plan/slots.rs, plan/view.rs"]);
        let found = planted(&[
            ("bin/dialback/serve.rs", "use crate::log; pub fn run() { log::line() }"),
            ("bin/dialback/log.rs", "pub fn line() { crate::tls::load() }"),
            ("bin/dialback/tls.rs", "pub fn load() { crate::serve::run() }"),
        ]);
        assert_eq!(found, ["a circle of files: bin/dialback/log.rs, bin/dialback/serve.rs, bin/dialback/tls.rs"]);
    }

    #[test]
    fn circle_of_two_files_a_face_and_a_test_module_are_no_violation() {
        let found = planted(&[
            ("plan/mod.rs", "pub(crate) use {entry::Entry, slots::Slots}; pub struct Plan(crate::plan::view::View);"),
            ("plan/entry.rs", "use super::{Plan, Slots}; pub struct Entry;"),
            ("plan/slots.rs", "use super::Entry; use super::view::View; pub struct Slots;"),
            ("plan/view.rs", "use super::Plan; pub struct View; #[cfg(test)] mod tests { use super::super::Entry; }"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }
}
