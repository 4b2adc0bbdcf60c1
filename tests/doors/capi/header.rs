//! Checks that the header in the repository is the one that cbindgen generates from the sources.

use std::path::Path;

/// The source files that contribute to the header, in its order.
const SOURCES: [&str; 3] = ["status.rs", "types.rs", "exports.rs"];

fn made(change: impl Fn(&str) -> String) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = tempfile::tempdir().expect("a directory");
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("a configuration");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in SOURCES {
        let source = std::fs::read_to_string(root.join("src/capi").join(file)).expect("a source");
        // For Rust readers the rules are in the module's documentation. For C readers they are at the head of the
        // header.
        let source = source.replace("///\n/// # Safety\n/// See the head of this file.\n", "");
        let there = scratch.path().join(file);
        std::fs::write(&there, change(&source)).expect("written");
        builder = builder.with_src(there);
    }
    let mut header = Vec::new();
    builder.generate().expect("a header").write(&mut header);
    String::from_utf8(header).expect("text")
}

#[test]
fn header_matches_the_sources() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/dialback.h");
    let made = made(str::to_owned);
    if std::env::var_os("DIALBACK_WRITE_HEADER").is_some() {
        std::fs::write(&path, &made).expect("written");
    }
    let kept = std::fs::read_to_string(&path).expect("a header");
    assert!(
        made == kept,
        "include/dialback.h differs from the sources: run `DIALBACK_WRITE_HEADER=1 cargo test --all-features --test doors capi::header`"
    );
    for function in ["dialback_open", "dialback_resolve_batch", "dialback_id_parse"] {
        assert!(kept.contains(function), "{function}");
    }
}

/// Canary: the comparison must be able to fail.
#[test]
fn changed_source_changes_the_header() {
    let kept = made(str::to_owned);
    assert_ne!(made(|source| source.replace("pub called_at_ms: u64", "pub called_at_ms: u32")), kept);
    assert_ne!(made(|source| source.replace("now_ms: u64,", "")), kept);
    assert_ne!(made(|source| source.replace("Expired = 8", "Expired = 18")), kept);
}
