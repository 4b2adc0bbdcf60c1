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

#[test]
fn transcripts_of_the_page_are_what_the_program_prints() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/import.md");
    let page = fs::read_to_string(page).expect("the page");
    let transcripts = transcripts(&page);
    for (file, sample_name) in FILES {
        let (name, of_format) = file.split_once(' ').unwrap_or((file, ""));
        let is_it = |one: &&Transcript| one.command.contains(&format!(" {name} ")) && one.command.contains(of_format);
        let found: Vec<_> = transcripts.iter().filter(is_it).collect();
        let [Transcript { command, printed }] = found.as_slice() else { panic!("one transcript of {file}") };
        let site = Site::empty();
        let words: Vec<_> = command.split_whitespace().collect();
        let ["dialback", "import", _, options @ ..] = words.as_slice() else { panic!("{command}") };
        assert!(options.contains(&"--dry-run"), "{command}");
        let output = site.command(&sample(sample_name), options).output().expect("runs");
        let (out, err) = texts(&output);
        assert_eq!(out, *printed, "{command}: {err}");
        assert!(!site.path("data").exists(), "a dry run creates nothing");
    }
    assert_eq!(transcripts.len(), FILES.len(), "a transcript that no test compares");
}
