//! Compiles and runs a C program against the installed library.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];

/// Returns the output of the command. Fails the test if the command fails.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out.into_owned()
}

/// Returns the directory into which the library is installed. It is a packaging root, not the final prefix.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<tempfile::TempDir> = OnceLock::new();
    let root = INSTALLED.get_or_init(|| {
        let root = tempfile::tempdir().expect("a directory");
        // A separate build, because the test checks what the script installs.
        output(
            Command::new(Path::new(ROOT).join("scripts/install-capi"))
                .arg("--debug")
                .env("PREFIX", "/opt/dialback")
                .env("DESTDIR", root.path()),
        );
        root
    });
    root.path()
}

fn pkg_config(arguments: &[&str]) -> Vec<String> {
    let root = installed();
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_LIBDIR", root.join("opt/dialback/lib/pkgconfig")).env("PKG_CONFIG_SYSROOT_DIR", root);
    let flags = output(command.args(arguments).arg("dialback"));
    flags.split_whitespace().map(str::to_owned).collect()
}

fn compile(directory: &Path, compiler: &str, flags: &[&str], link: &[String]) -> PathBuf {
    let program = directory.join("gateway");
    let mut command = Command::new(compiler);
    command.args(STRICT).args(flags).args(pkg_config(&["--cflags"]));
    command.arg(Path::new(ROOT).join("examples/c/gateway.c")).arg("-o").arg(&program);
    // `-x none` follows the source, so that a language set for the source does not apply to the libraries.
    output(command.args(["-x", "none"]).args(link).arg("-pthread"));
    program
}

#[test]
fn c_program_runs_with_shared_library_and_data_directory() {
    let scratch = tempfile::tempdir().expect("a directory");
    let program = compile(scratch.path(), "cc", &["-std=c99"], &pkg_config(&["--libs"]));
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", installed().join("opt/dialback/lib"));
    let said = output(command.arg(scratch.path().join("data")));
    assert!(said.ends_with("all calls landed where they should\n"), "{said}");
}

#[test]
fn c_program_runs_with_static_library_and_compiles_as_cpp() {
    let scratch = tempfile::tempdir().expect("a directory");
    let library = installed().join("opt/dialback/lib/libdialback.a");
    let others = pkg_config(&["--static", "--libs-only-l"]).into_iter().filter(|library| library != "-ldialback");
    let link: Vec<String> = [library.display().to_string()].into_iter().chain(others).collect();
    for (compiler, flags) in [("cc", &["-std=c99"][..]), ("c++", &["-x", "c++", "-std=c++11"])] {
        let said = output(&mut Command::new(compile(scratch.path(), compiler, flags, &link)));
        assert!(said.ends_with("all calls landed where they should\n"), "{said}");
    }
}

#[test]
fn example_on_the_c_page_runs() {
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/c.md")).expect("a page");
    let program = page.split("```c\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a program");
    let scratch = tempfile::tempdir().expect("a directory");
    let data = scratch.path().join("data").display().to_string();
    // Adds a clock and a writable directory to the example.
    let clock = "#include <stdint.h>\nstatic uint64_t now_ms(void) { return 1800000000000u; }\n";
    assert!(program.contains("/var/lib/gateway/dialback"));
    let program = format!("{clock}{}", program.replace("/var/lib/gateway/dialback", &data));
    let (source, binary) = (scratch.path().join("page.c"), scratch.path().join("page"));
    std::fs::write(&source, program).expect("written");
    let mut command = Command::new("cc");
    command.args(["-Wall", "-Werror", "-std=c99", "-pedantic"]).args(pkg_config(&["--cflags"])).arg(&source);
    output(command.arg("-o").arg(&binary).args(pkg_config(&["--libs"])));
    // Nothing is configured, so the call is unrouted.
    let mut command = Command::new(binary);
    assert_eq!(output(command.env("LD_LIBRARY_PATH", installed().join("opt/dialback/lib"))), "");
}

/// Canary: a failing check must end the program with an error.
#[test]
#[should_panic(expected = "dialback_open(&options, &engine)) == DIALBACK_STATUS_OK (last error: /dev/null/data")]
fn failing_check_ends_the_c_program() {
    let scratch = tempfile::tempdir().expect("a directory");
    let program = compile(scratch.path(), "cc", &["-std=c99"], &pkg_config(&["--libs"]));
    let mut command = Command::new(program);
    output(command.env("LD_LIBRARY_PATH", installed().join("opt/dialback/lib")).arg("/dev/null/data"));
}

#[test]
fn shared_library_exports_exactly_the_header_functions() {
    let library = installed().join("opt/dialback/lib/libdialback.so.0");
    let symbols = output(Command::new("nm").args(["-D", "--defined-only"]).arg(&library));
    let shown: BTreeSet<&str> = symbols.lines().filter_map(|line| line.split(" T ").nth(1)).collect();
    let header = std::fs::read_to_string(Path::new(ROOT).join("include/dialback.h")).expect("a header");
    let declared: BTreeSet<&str> = header
        .lines()
        .filter(|line| line.starts_with("dialback_status dialback_") || line.starts_with("const char *dialback_"))
        .filter_map(|line| line.split('(').next()?.rsplit([' ', '*']).next())
        .collect();
    assert_eq!(shown, declared);
    assert!(declared.len() >= 16);
    let dynamic = output(Command::new("readelf").arg("-d").arg(&library));
    assert!(dynamic.contains("soname: [libdialback.so.0]"), "{dynamic}");
}
