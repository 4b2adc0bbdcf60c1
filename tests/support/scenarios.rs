//! Loads the scenarios of `tests/data`, and runs them through a door.

use dialback::testing::scenario::{Door, File, Scenario, run};
use std::path::{Path, PathBuf};

/// Returns each file of scenarios, in the order of their names.
pub fn files() -> Vec<(PathBuf, File)> {
    // `capi-checks/` is a package below this one, and compiles this file too.
    let mut directories = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|above| above.join("tests/data"));
    let directory = directories.find(|directory| directory.is_dir()).expect("there are scenarios");
    let entries = std::fs::read_dir(directory).expect("a readable directory");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable directory").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let parse = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let file = File::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, file)
    };
    paths.into_iter().map(parse).collect()
}

/// Runs each scenario that `wanted` accepts through a new door. Returns how many ran.
pub fn run_each<D: Door>(mut wanted: impl FnMut(&Scenario) -> bool, door: impl Fn() -> D) -> usize {
    let mut scenarios = 0;
    for (_, file) in files() {
        for scenario in file.scenario.iter().filter(|scenario| wanted(scenario)) {
            run(&file, scenario, &mut door());
            scenarios += 1;
        }
    }
    scenarios
}

/// Runs a scenario whose expected reason is wrong, for a canary: the number does not exist. Panics with `NO_HISTORY`.
pub fn run_wrong(door: &mut impl Door) {
    let file = r#"
        numbers = { main = "+15550100" }
        [[scenario]]
        name = "wrong"
        steps = [{ route = { dialed = "main", caller = "+1555", reason = "NO_HISTORY" } }]
    "#;
    let file = File::parse(file).expect("it parses");
    run(&file, &file.scenario[0], door);
}
