//! The header that is checked in is the one that the sources make.

use std::path::Path;

/// The files that C sees something of, in the order of the header.
const SOURCES: [&str; 3] = ["status.rs", "types.rs", "exports.rs"];

fn made(change: impl Fn(&str) -> String) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = tempfile::tempdir().expect("a directory");
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("a configuration");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in SOURCES {
        let source = std::fs::read_to_string(root.join("src/capi").join(file)).expect("a source");
        // To Rust's readers the promise is at the head of the module; C's have it at the head of the header.
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
fn the_header_is_made_of_these_sources() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/dialback.h");
    let made = made(str::to_owned);
    if std::env::var_os("DIALBACK_WRITE_HEADER").is_some() {
        std::fs::write(&path, &made).expect("written");
    }
    let kept = std::fs::read_to_string(&path).expect("a header");
    assert!(
        made == kept,
        "include/dialback.h has drifted: look at `DIALBACK_WRITE_HEADER=1 cargo test --features capi --test capi header`"
    );
    for function in ["dialback_open", "dialback_resolve_batch", "dialback_id_parse"] {
        assert!(kept.contains(function), "{function}");
    }
}

/// The comparison must be able to fail.
#[test]
fn a_source_that_has_changed_is_noticed() {
    let kept = made(str::to_owned);
    assert_ne!(made(|source| source.replace("pub called_at_ms: u64", "pub called_at_ms: u32")), kept);
    assert_ne!(made(|source| source.replace("now_ms: u64,", "")), kept);
    assert_ne!(made(|source| source.replace("Expired = 8", "Expired = 18")), kept);
}
