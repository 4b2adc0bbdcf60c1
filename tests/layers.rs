//! Checks the layers: reads the sources, and compares the modules that each module names with the table of the
//! design.
//!
//! The table differs from the design in these points:
//! * `store` (its trait, its errors and the store that keeps nothing) exists without the feature `store`, because an
//!   embedder may provide a store. Only the embedded engine is behind the feature.
//! * `service` may name `store`, as in the design, and is below the modules that an adapter sees.
//! * `metrics` comes before `engine`, which counts. `outcome` and `slot` are separate files.

#[path = "layers/circles.rs"]
mod circles;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module and the other modules it may name. A module that is not listed here must not exist.
const LAYERS: &[(&str, &[&str])] = &[
    ("number", &[]),
    ("named", &[]),
    ("id", &["named"]),
    ("admission", &["sync"]),
    ("time", &[]),
    ("outcome", &["named"]),
    ("slot", &[]),
    ("sync", &[]),
    ("event", &["named", "number", "id", "time", "outcome"]),
    ("decision", &["named", "id", "time", "outcome"]),
    ("record", &["named", "number", "id", "time", "outcome", "decision"]),
    ("history", &["number", "time", "outcome", "slot", "sync"]),
    ("plan", &["number", "id", "time", "outcome", "slot", "event"]),
    ("declaration", &["number", "id", "time", "outcome", "event", "plan"]),
    ("metrics", &["sync", "decision"]),
    ("tally", &["time", "slot", "sync", "metrics"]),
    (
        "engine",
        &[
            "number", "id", "time", "outcome", "slot", "sync", "event", "decision", "history", "plan", "metrics",
            "tally",
        ],
    ),
    (
        "store",
        &[
            "named", "number", "id", "time", "outcome", "slot", "sync", "event", "record", "history", "plan",
            "metrics", "tally",
        ],
    ),
    (
        "service",
        &[
            "number", "id", "time", "outcome", "slot", "event", "decision", "record", "history", "plan", "metrics",
            "tally", "engine", "store",
        ],
    ),
    (
        "inbound",
        &[
            "number", "id", "time", "slot", "sync", "event", "decision", "record", "plan", "metrics", "engine",
            "service",
        ],
    ),
    ("fleet", ADAPTER),
    ("http", ADAPTER),
    ("sip", ADAPTER),
    ("agi", ADAPTER),
    ("capi", ADAPTER),
    ("testing", EVERYTHING),
    ("bin", EVERYTHING),
    ("lib", EVERYTHING),
];

/// Adapters may name the library's modules, and never each other.
const ADAPTER: &[&str] = &[
    "declaration",
    "named",
    "number",
    "id",
    "admission",
    "time",
    "outcome",
    "slot",
    "sync",
    "event",
    "decision",
    "record",
    "history",
    "plan",
    "metrics",
    "tally",
    "engine",
    "store",
    "service",
    "inbound",
];

const EVERYTHING: &[&str] = &["*"];

/// Words that only the listed files or folders may contain.
const RESERVED: &[(&str, &[&str], &[&str])] = &[
    // `time.rs` converts a system time that its caller read.
    ("a clock", &["SystemTime"], &["bin/", "time.rs"]),
    ("a clock", &["SystemTime::now", "Timestamp::now", "Zoned::now", "Utc::now", "Local::now"], &["bin/"]),
    // `stopwatch.rs` measures durations for the metrics and reads no time of day. In the other file, `Instant` is an
    // associated type of a trait for a clock that is passed in.
    ("a clock", &["Instant"], &["bin/", "metrics/stopwatch.rs", "http/middleware/rate_limit.rs"]),
    ("an atomic", &["atomic", "loom::sync", "loom::thread"], &["sync.rs"]),
    ("arc_swap", &["arc_swap"], &["plan/published.rs", "inbound/address/book.rs", "bin/"]),
    // C passes pointers, and a handle is followed without a lock, so three files of `capi` have unsafe code.
    // `history` has two such files, for memory and for vector instructions.
    (
        "unsafe",
        &["unsafe"],
        &[
            "history/index/compare.rs",
            "history/index/memory.rs",
            "capi/exports.rs",
            "capi/foreign.rs",
            "capi/registry.rs",
        ],
    ),
    // They panic if nobody reads the output any more.
    ("printing that panics", &["println", "eprintln"], &[]),
    // The crate must support 64-bit ARM and RISC-V equally.
    ("a 128-bit atomic", &["AtomicU128", "AtomicI128", "portable_atomic", "cmpxchg16b"], &[]),
];

#[test]
fn sources_follow_the_table_of_layers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::new();
    collect(&root, &root, &mut sources);
    assert!(sources.len() > 30, "the sources are read");
    let violations = check(&sources);
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn no_circle_has_more_than_two_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::new();
    collect(&root, &root, &mut sources);
    let sources = sources.into_iter().map(|(file, source)| (file, tokens(&source))).collect();
    let violations = circles::too_large(&sources);
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

/// The check above does not look into assembly, which is a string.
#[test]
fn assembly_contains_no_128_bit_exchange() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::new();
    collect(&root, &root, &mut sources);
    assert!(sources["history/index/compare.rs"].contains("vpcmpeqq"), "assembly is looked through");
    for (file, source) in sources {
        for word in ["cmpxchg16b", "ldxp", "ldaxp", "stxp", "stlxp", "casp"] {
            assert!(!source.split(|c: char| !c.is_alphanumeric()).any(|held| held == word), "{file}: {word}");
        }
    }
}

fn collect(root: &Path, directory: &Path, sources: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path: PathBuf = entry.expect("a readable directory").path();
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("below it").display().to_string().replace('\\', "/");
            sources.insert(name, fs::read_to_string(&path).expect("readable"));
        }
    }
}

/// Returns the violations in the sources, which are keyed by path below `src`.
fn check(sources: &BTreeMap<String, String>) -> Vec<String> {
    let reexports = sources.get("lib.rs").map(|lib| reexports(&tokens(lib))).unwrap_or_default();
    let mut violations = Vec::new();
    for (file, source) in sources {
        let module = modules_of(file);
        let layer = module.first().map_or("lib", String::as_str);
        let tokens = tokens(source);
        match LAYERS.iter().find(|(name, _)| *name == layer) {
            None => violations.push(format!("{file}: {layer} is in no layer")),
            Some((_, may)) => {
                for path in paths(&tokens, &module) {
                    let named = layer_of(&path, &reexports);
                    let allowed = named == layer || may.contains(&named.as_str()) || *may == EVERYTHING;
                    if !allowed {
                        violations.push(format!("{file}: {layer} may not name {named} ({})", path.join("::")));
                    }
                }
            }
        }
        for (what, words, files) in RESERVED {
            let free = files.iter().any(|free| file == free || (free.ends_with('/') && file.starts_with(free)));
            for word in words.iter().filter(|word| !free && has_word(&tokens, word)) {
                violations.push(format!("{file}: {what} ({word})"));
            }
        }
    }
    violations
}

/// Returns the module path of a file: `plan/change.rs` → `plan::change`.
fn modules_of(file: &str) -> Vec<String> {
    if file.starts_with("bin/") {
        return vec!["bin".into()];
    }
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// Returns the layer that an absolute path names. A re-exported name belongs to the module that defines it.
fn layer_of(path: &[String], reexports: &BTreeMap<String, String>) -> String {
    match path.first() {
        None => "lib".into(),
        Some(first) => reexports.get(first).unwrap_or(first).clone(),
    }
}

/// Returns the names that `lib.rs` re-exports, with the modules that define them.
fn reexports(tokens: &[String]) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (place, _) in tokens.iter().enumerate().filter(|(_, token)| *token == "use") {
        let mut leaves = Vec::new();
        use_tree(tokens, &mut (place + 1), &[], &mut leaves);
        for leaf in leaves.into_iter().filter(|leaf| leaf.len() > 1) {
            names.insert(leaf[leaf.len() - 1].clone(), leaf[0].clone());
        }
    }
    names
}

/// Returns all paths of this crate in the tokens, absolute and without `crate`.
fn paths(tokens: &[String], module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut depth = 0;
    let mut place = 0;
    while place < tokens.len() {
        let token = tokens[place].as_str();
        let begins_path = tokens.get(place + 1).is_some_and(|next| next == "::") && !follows_path(tokens, place);
        match token {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inline.retain(|(_, opened)| *opened <= depth);
            }
            "mod" if tokens.get(place + 2).is_some_and(|next| next == "{") => {
                inline.push((tokens[place + 1].clone(), depth + 1));
            }
            "crate" | "dialback" | "super" | "self" if begins_path => {
                let here: Vec<String> =
                    module.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect();
                let mut leaves = Vec::new();
                use_tree(tokens, &mut place, &[], &mut leaves);
                found.extend(leaves.into_iter().map(|leaf| absolute(&leaf, &here)));
                continue;
            }
            _ => {}
        }
        place += 1;
    }
    found
}

fn follows_path(tokens: &[String], place: usize) -> bool {
    place > 0 && tokens[place - 1] == "::"
}

/// Parses `a::b::{c, d::*}` from `place` on and returns the paths of its leaves.
fn use_tree(tokens: &[String], place: &mut usize, before: &[String], leaves: &mut Vec<Vec<String>>) {
    let mut path = before.to_vec();
    while let Some(token) = tokens.get(*place) {
        if token == "{" {
            *place += 1;
            while tokens.get(*place).is_some_and(|token| token != "}") {
                use_tree(tokens, place, &path, leaves);
                while tokens.get(*place).is_some_and(|token| token != "," && token != "}") {
                    *place += 1;
                }
                *place += usize::from(tokens.get(*place).is_some_and(|token| token == ","));
            }
            *place += 1;
            return;
        }
        if !is_word(token) && token != "*" {
            break;
        }
        path.push(token.clone());
        *place += 1;
        if tokens.get(*place).is_none_or(|token| token != "::") {
            break;
        }
        *place += 1;
    }
    leaves.push(path);
}

fn absolute(path: &[String], here: &[String]) -> Vec<String> {
    let mut base = here.to_vec();
    let mut rest = path;
    loop {
        match rest.first().map(String::as_str) {
            Some("crate" | "dialback") => base.clear(),
            Some("super") => {
                base.pop();
            }
            Some("self") => {}
            _ => break,
        }
        rest = &rest[1..];
    }
    base.into_iter().chain(rest.iter().cloned()).collect()
}

/// Returns whether the tokens contain the word, or the words of a path next to each other.
fn has_word(tokens: &[String], word: &str) -> bool {
    let parts: Vec<&str> = word.split("::").flat_map(|part| [part, "::"]).collect();
    let parts = &parts[..parts.len() - 1];
    tokens.windows(parts.len()).any(|window| window.iter().zip(parts).all(|(token, part)| token == part))
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Returns words, `::` and single characters, without comments and literals.
fn tokens(source: &str) -> Vec<String> {
    let chars: Vec<char> = source.chars().collect();
    let at = |place: usize| chars.get(place).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut place = 0;
    while place < chars.len() {
        let c = at(place);
        if c == '/' && at(place + 1) == '/' {
            while place < chars.len() && at(place) != '\n' {
                place += 1;
            }
        } else if c == '/' && at(place + 1) == '*' {
            while place < chars.len() && !(at(place) == '*' && at(place + 1) == '/') {
                place += 1;
            }
            place += 2;
        } else if c == 'r' && raw_hashes(&chars, place).is_some() {
            let hashes = raw_hashes(&chars, place).unwrap_or(0);
            place += hashes + 2;
            let closes = |place: usize| at(place) == '"' && (1..=hashes).all(|more| at(place + more) == '#');
            while place < chars.len() && !closes(place) {
                place += 1;
            }
            place += hashes + 1;
        } else if c == '"' {
            place += 1;
            while place < chars.len() && at(place) != '"' {
                place += if at(place) == '\\' { 2 } else { 1 };
            }
            place += 1;
        } else if c == '\'' && (at(place + 1) == '\\' || at(place + 2) == '\'') {
            place += if at(place + 1) == '\\' { 3 } else { 2 };
            while place < chars.len() && at(place) != '\'' {
                place += 1;
            }
            place += 1;
        } else if c.is_alphanumeric() || c == '_' {
            let begin = place;
            while at(place).is_alphanumeric() || at(place) == '_' {
                place += 1;
            }
            tokens.push(chars[begin..place].iter().collect());
        } else if c == ':' && at(place + 1) == ':' {
            tokens.push("::".into());
            place += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            place += 1;
        }
    }
    tokens
}

/// Returns the number of `#` of a raw string that begins here. `None` if none begins here.
fn raw_hashes(chars: &[char], place: usize) -> Option<usize> {
    let hashes = chars[place + 1..].iter().take_while(|c| **c == '#').count();
    let follows_word = place > 0 && (chars[place - 1].is_alphanumeric() || chars[place - 1] == '_');
    (!follows_word && chars.get(place + 1 + hashes) == Some(&'"')).then_some(hashes)
}

/// Canaries: the checker must find each kind of violation.
mod canary {
    use super::*;

    fn planted(file: &str, source: &str) -> Vec<String> {
        let lib = "pub use engine::Engine; pub use plan::{ConfigError, Plan}; pub use number::E164;";
        let sources = [("lib.rs", lib), (file, source)];
        check(&sources.into_iter().map(|(file, source)| (file.to_owned(), source.to_owned())).collect())
    }

    #[test]
    fn each_kind_of_violation_is_found() {
        for (file, source, expected) in [
            ("history/mod.rs", "use crate::plan::Plan;", "may not name plan"),
            ("history/index/table.rs", "fn f(p: &crate::plan::Plan) {}", "may not name plan"),
            ("plan/mod.rs", "use crate::{event::Event, history::{self, Register}};", "may not name history"),
            ("plan/entry.rs", "use super::super::history::Register;", "may not name history"),
            ("plan/entry.rs", "mod tests { use super::super::super::engine; }", "may not name engine"),
            ("number.rs", "use crate::E164; use crate::Engine;", "may not name engine"),
            ("number/scan.rs", "use crate::*;", "may not name *"),
            ("http/mod.rs", "use crate::sip::Redirect;", "may not name sip"),
            ("sip.rs", "use crate::http::Server;", "may not name http"),
            ("engine/mod.rs", "use crate::service::Service;", "may not name service"),
            ("service.rs", "use crate::testing::Op;", "may not name testing"),
            ("extra.rs", "", "in no layer"),
            ("engine/mod.rs", "use std::time::{Duration, Instant};", "a clock (Instant)"),
            ("http/mod.rs", "let now = SystemTime::now();", "a clock (SystemTime)"),
            ("http/mod.rs", "let now = jiff::Timestamp::now();", "a clock (Timestamp::now)"),
            ("service.rs", "use jiff::Zoned; let now = Zoned::now();", "a clock (Zoned::now)"),
            ("engine/mod.rs", "use std::sync::atomic::AtomicU64;", "an atomic (atomic)"),
            ("engine/mod.rs", "use arc_swap::ArcSwap;", "arc_swap (arc_swap)"),
            ("history/index/table.rs", "unsafe { read(p) }", "unsafe (unsafe)"),
            ("capi/instance.rs", "unsafe { read(p) }", "unsafe (unsafe)"),
            ("capi/instance.rs", "use crate::http::Api;", "may not name http"),
            ("sync.rs", "pub(crate) use std::sync::atomic::AtomicU128;", "a 128-bit atomic (AtomicU128)"),
            ("history/index/line.rs", "use portable_atomic::AtomicU64;", "a 128-bit atomic (portable_atomic)"),
            (
                "history/index/memory.rs",
                "core::arch::x86_64::cmpxchg16b(p, 0, 1, o, o);",
                "a 128-bit atomic (cmpxchg16b)",
            ),
        ] {
            let found = planted(file, source);
            assert!(found.iter().any(|found| found.contains(expected)), "{file}: {source}: {found:?}");
        }
    }

    #[test]
    fn valid_source_has_no_violation() {
        for (file, source) in [
            ("history/mod.rs", "// use crate::plan::Plan;\n/* unsafe */ const S: &str = \"crate::plan\";"),
            ("history/mod.rs", "const S: &str = r#\"a \" crate::plan::Plan\"#; use crate::number::E164;"),
            ("history/register.rs", "mod tests { use super::*; use super::super::History; }"),
            ("plan/mod.rs", "fn f<'a>(c: char) -> bool { c == '\"' || c == '\\'' } use crate::E164;"),
            ("engine/mod.rs", "use crate::{ConfigError, Plan, E164}; use self::rule::resolve;"),
            ("time.rs", "/// SystemTime is for others.\npub struct Timestamp;"),
            ("bin/dialback/main.rs", "use dialback::Engine; let now = SystemTime::now();"),
            ("plan/published.rs", "use arc_swap::ArcSwap;"),
            ("sync.rs", "pub(crate) use std::sync::atomic::AtomicU64;"),
        ] {
            assert_eq!(planted(file, source), Vec::<String>::new(), "{file}: {source}");
        }
    }
}
