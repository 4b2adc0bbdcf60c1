//! Runs the commands of `docs/import.md`, and compares the transcripts there with what the program prints.

use super::{Site, sample, texts};
use std::fs;
use std::path::Path;

/// The files in the commands, and the samples that are read in their place.
const FILES: [(&str, &str); 6] = [
    ("Master.csv --format asterisk", "Master-asterisk.csv"),
    ("Master.csv --format freeswitch", "Master-freeswitch.csv"),
    ("acc.csv", "acc-kamailio.csv"),
    ("twilio.csv", "twilio.csv"),
    ("retell.json", "retell.json"),
    ("vapi.ndjson", "vapi.ndjson"),
];

/// A command of the page, and what the page says that it prints.
struct Transcript {
    command: String,
    printed: String,
}

/// Returns the blocks of commands that are followed by a block of text.
fn transcripts(page: &str) -> Vec<Transcript> {
    let blocks: Vec<(&str, &str)> =
        page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect();
    let pairs = blocks.windows(2).filter_map(|pair| match pair {
        [("sh", command), ("text", printed)] => {
            Some(Transcript { command: command.replace("\\\n", " "), printed: format!("{printed}\n") })
        }
        _ => None,
    });
    pairs.collect()
}

/// Returns what a command prints without the time that it took.
fn without_time(printed: &str) -> String {
    let line = |line: &str| {
        let calls = line.split_once(" calls in ").filter(|(_, rate)| rate.ends_with(" a second"));
        calls.map_or_else(|| line.to_owned(), |(calls, _)| format!("{calls} calls"))
    };
    printed.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Runs a command of the page on a sample, and compares what it prints.
fn check(site: &Site, sample_name: &str, options: &[&str], transcript: &Transcript) {
    let output = site.command(&sample(sample_name), options).arg("--no-progress").output().expect("runs");
    let (out, err) = texts(&output);
    let Transcript { command, printed } = transcript;
    assert_eq!(without_time(&format!("{err}{out}")), without_time(printed), "{command}");
    let is_dry = options.contains(&"--dry-run");
    assert_eq!(site.path("data").exists(), !is_dry, "a dry run creates nothing");
}

#[test]
fn transcripts_of_the_page_are_what_the_program_prints() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/import.md");
    let page = fs::read_to_string(page).expect("the page");
    let transcripts = transcripts(&page);
    let mut compared = 0;
    for (file, sample_name) in FILES {
        let (name, of_format) = file.split_once(' ').unwrap_or((file, ""));
        let is_it = |one: &&Transcript| one.command.contains(&format!(" {name} ")) && one.command.contains(of_format);
        let site = Site::empty();
        let mut planned = Vec::new();
        for transcript in transcripts.iter().filter(is_it) {
            let words: Vec<_> = transcript.command.split_whitespace().collect();
            let ["dialback", "import", _, options @ ..] = words.as_slice() else { panic!("{}", transcript.command) };
            check(&site, sample_name, options, transcript);
            if options.contains(&"--dry-run") {
                planned = options.iter().map(|option| (*option).to_owned()).collect();
            }
            compared += 1;
        }
        assert!(!planned.is_empty(), "no transcript of a dry run of {file}");
        import_as_planned(sample_name, &planned);
    }
    assert_eq!(transcripts.len(), compared, "a transcript that no test compares");
}

/// Imports a sample after its dry run, with the command of the page without `--dry-run`.
fn import_as_planned(sample_name: &str, options: &[String]) {
    let site = Site::empty();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let planned = site.import(&sample(sample_name), &options);
    let options: Vec<_> = options.into_iter().filter(|option| *option != "--dry-run").collect();
    let done = site.import(&sample(sample_name), &options);
    assert_eq!((done.code, &done.rejected), (planned.code, &planned.rejected), "{sample_name}");
    let kinds = ["accepted", "rejected", "skipped", "created_numbers", "created_agents", "in_the_future"];
    assert_eq!(kinds.map(|kind| done.count(kind)), kinds.map(|kind| planned.count(kind)), "{sample_name}");
    assert_eq!(site.contacts() as u64, done.count("accepted"), "{sample_name}: one contact in each record");
}
