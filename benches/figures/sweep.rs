//! Measures all sizes with one command. Each run is a separate process with its own memory peak, and contains as many
//! contenders as fit. *ours* and *lines* are part of each run, so that ratios can be computed in each.

use super::args::{Args, grouped};
use super::records::Records;
use super::{checks, memory, plot, table, tracked};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The resident bytes a pair at the worst size from ten million on, from recorded runs. Used to choose what fits.
pub(crate) const BYTES: &[(&str, f64)] = &[
    ("ours", 32.0),
    ("lines", 24.0),
    ("dashmap", 53.0),
    ("horde", 84.0),
    ("decisions", 32.0),
    ("kept", 32.0),
    ("papaya", 62.0),
    ("scc", 59.0),
    ("rwlock", 53.0),
    ("leapfrog", 182.0),
];

/// The contenders in each run.
const ALWAYS: [&str; 2] = ["ours", "lines"];
const SIZES: &[u64] = &[10_000, 100_000, 1_000_000, 10_000_000, 50_000_000];
const SMALL: &[u64] = &[1_000, 10_000];
/// The contenders that the tracked set compares.
const TRACKED: &[u64] = &[10_000, 1_000_000];
const TITLE: &str = "The history beside others";
const GIB: f64 = (1u64 << 30) as f64;

fn bytes_of(name: &str) -> f64 {
    BYTES.iter().find(|(known, _)| *known == name).map_or(0.0, |(_, bytes)| *bytes)
}

/// Returns the memory peak of a run with these contenders: all resident memory, and half of the largest again while
/// it doubles.
pub(crate) fn peak(names: &[&str], pairs: u64) -> f64 {
    let each = || names.iter().map(|name| bytes_of(name));
    (each().sum::<f64>() + each().fold(0.0, f64::max) / 2.0) * pairs as f64
}

/// Returns runs whose contenders fit into this many bytes. A contender that fits into none is left out and reported.
pub(crate) fn runs<'a>(wanted: &[&'a str], pairs: u64, bytes: f64) -> (Vec<Vec<&'a str>>, Vec<&'a str>) {
    let always: Vec<_> = wanted.iter().copied().filter(|name| ALWAYS.contains(name)).collect();
    let mut runs = vec![always.clone()];
    let mut left_out = Vec::new();
    for &name in wanted.iter().filter(|name| !ALWAYS.contains(name)) {
        let with = |run: &[&'a str]| [run, &[name]].concat();
        if let Some(run) = runs.iter_mut().find(|run| peak(&with(run), pairs) <= bytes) {
            run.push(name);
        } else if peak(&with(&always), pairs) <= bytes {
            runs.push(with(&always));
        } else {
            left_out.push(name);
        }
    }
    (runs, left_out)
}

/// Returns the bytes that a run may use: the given number or `usual` GiB, but never more than the machine has.
pub(crate) fn budget(args: &Args, usual: f64) -> f64 {
    let free = memory::available() - 1.5 * GIB;
    let wanted = args.value("--gib").map_or(usual * GIB, |gib: f64| gib * GIB);
    if free > 0.0 { wanted.min(free) } else { wanted }
}

fn directory(args: &Args) -> PathBuf {
    args.text("--out").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("figures"), PathBuf::from)
}

/// `--sweep`: measures each size, prints the tables and the comparison with the bars, and writes the figures and the
/// plot.
pub(crate) fn sweep(args: &Args) {
    let sizes = args.counts("--sizes").unwrap_or_else(|| if args.measuring() { SIZES } else { SMALL }.to_vec());
    let records = measure(args, &sizes);
    println!("{}", page(&records));
    let directory = directory(args);
    keep(&records, &directory);
    println!("figures.csv, tables.md and history.svg are in {}", directory.display());
    if args.has("--record") {
        keep(&records, tracked::DIRECTORY.as_ref());
        tracked::of(&records).write(tracked::FILE.as_ref()).expect("the repository");
        println!("recorded in {}", tracked::DIRECTORY);
    }
}

/// Writes the figures, the page and the plot as files.
fn keep(records: &Records, directory: &Path) {
    records.write(&directory.join("figures.csv")).expect("a directory that can be written to");
    fs::write(directory.join("tables.md"), page(records)).expect("the same directory");
    fs::write(directory.join("history.svg"), plot::svg(records, TITLE)).expect("the same directory");
}

/// `--compare`: compares the tracked set with the last recorded run. Never fails because of a figure.
pub(crate) fn compare(args: &Args) {
    let sizes = args.counts("--sizes").unwrap_or_else(|| if args.measuring() { TRACKED } else { &[10_000] }.to_vec());
    let recorded = Records::read(tracked::FILE.as_ref()).expect("recorded figures");
    let only = args.text("--only").unwrap_or("ours,kept,decisions,lines,dashmap,horde");
    let records = measure(&args.but("--only", only), &sizes);
    println!("\n{}", tracked::drift(&recorded, &records));
}

/// `--draw A.csv`: prints the tables and the comparison with the bars, and draws the plot, from stored figures. With
/// `--beside B.csv`, prints both sets side by side instead.
pub(crate) fn draw(args: &Args, file: &str) {
    let records = Records::read(file.as_ref()).expect("figures");
    if let Some(other) = args.text("--beside") {
        let other = Records::read(other.as_ref()).expect("figures");
        let names = args.text("--names").and_then(|names| names.split_once(',')).unwrap_or(("one", "other"));
        println!("\n{}", table::beside((names.0, &records), (names.1, &other)));
    } else {
        println!("{}", page(&records));
    }
    if let Some(svg) = args.text("--svg") {
        fs::write(svg, plot::svg(&records, TITLE)).expect("a place for the plot");
    }
}

/// Returns all tables and the comparison with the bars.
fn page(records: &Records) -> String {
    let mut page = String::new();
    for pairs in records.sizes() {
        page += &format!("{}\n", table::of(records, pairs));
        let threads = table::of_threads(records, pairs);
        if !threads.is_empty() {
            page += &format!("{threads}\n");
        }
        for record in records.all().iter().filter(|r| r.pairs == pairs && r.figure == "peak GiB") {
            page += &format!("Run {}: at most {:.2} GiB resident.\n\n", record.run, record.value);
        }
    }
    page + &checks::tell(records)
}

fn measure(args: &Args, sizes: &[u64]) -> Records {
    let mut wanted: Vec<&str> = BYTES.iter().map(|(name, _)| *name).collect();
    if let Some(only) = args.text("--only") {
        wanted.retain(|name| only.split(',').any(|only| only == *name));
    }
    let bytes = budget(args, 16.0);
    let mut records = Records::default();
    for &pairs in sizes {
        let (runs, left_out) = runs(&wanted, pairs, bytes);
        for names in runs {
            eprintln!(
                "{} pairs: {}; at most {:.2} GiB of {:.1} by the arithmetic",
                grouped(pairs),
                names.join(", "),
                peak(&names, pairs) / GIB,
                bytes / GIB
            );
            records.append(child(
                args,
                &["--pairs", &pairs.to_string(), "--only", &names.join(",")],
                records.next_run(),
            ));
        }
        if !left_out.is_empty() {
            println!("{} pairs: no room for {}", grouped(pairs), left_out.join(", "));
        }
        if wanted.contains(&"ours") {
            records.append(child(args, &["--threads", "--pairs", &pairs.to_string()], records.next_run()));
        }
    }
    records
}

/// Runs one size as a separate process.
fn child(args: &Args, what: &[&str], run: u32) -> Records {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(what).arg("--csv").arg(file.path()).arg("--run").arg(run.to_string());
    for name in ["--rounds", "--ops"] {
        if let Some(value) = args.text(name) {
            command.args([name, value]);
        }
    }
    if args.measuring() {
        command.arg("--bench");
    }
    let status = command.status().expect("a process");
    assert!(status.success(), "{what:?}: {status}");
    Records::read(file.path()).expect("the run's figures")
}
