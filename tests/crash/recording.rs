//! Runs a process and records its file operations.

use super::disk::Disk;
use super::memory;
use super::record::Record;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Runs the process that `process` returns for a directory that holds `before`, which must end with this exit code.
/// Returns its record.
pub(super) fn record(before: &Disk, exit_code: i32, process: impl FnOnce(&Path) -> Command) -> Record {
    let place = memory();
    let root = place.path().join("root");
    before.everything().write(&root);
    let file = place.path().join("record");
    let output = process(&root).shortened(&root, &file).output().expect("it runs");
    assert_eq!(output.status.code(), Some(exit_code), "{}", String::from_utf8_lossy(&output.stderr));
    let record = Record::read(&file, &root);
    // Check that the recorder missed nothing.
    let mut disk = before.clone();
    for step in &record.steps {
        disk.apply(step);
    }
    disk.everything().expect_at(&root);
    record
}

/// Returns this program as a process that runs one of its ignored tests.
pub(super) fn child(test: &str) -> Command {
    let mut process = Command::new(std::env::current_exe().expect("this program"));
    process.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    process
}

/// The directory in which the file operations of this process are recorded. `None` if the process is not a child of a
/// test.
pub(super) fn root() -> Option<PathBuf> {
    std::env::var_os(ROOT).map(PathBuf::from)
}

const ROOT: &str = "DIALBACK_RECORD_ROOT";

/// Compile the recorder once. A loader that finds the library half written runs without it, and the workload leaves no
/// record.
static RECORDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("recorder-{}.so", std::process::id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/recorder.c");
    let mut compiler = Command::new("cc");
    let status =
        compiler.args(["-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
    assert!(status.expect("a C compiler").success());
    library
});

/// A process whose journals the engine considers long, and whose file operations below a directory are recorded.
pub(super) trait Shortened {
    fn shortened(&mut self, root: &Path, record: &Path) -> &mut Self;
}

impl Shortened for Command {
    fn shortened(&mut self, root: &Path, record: &Path) -> &mut Self {
        self.env("LD_PRELOAD", &*RECORDER).env(ROOT, root).env("DIALBACK_RECORD_FILE", record);
        self.env("DIALBACK_RECORD_SEAL", "1")
    }
}
