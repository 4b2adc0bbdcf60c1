//! Searches the files of a data directory for phone numbers.
//!
//! Each file is searched as it is, for the digits of a number, and for the integer of seven bytes in both byte orders. The
//! store writes contacts as seven bytes, big-endian, in its keys and its events; longer integers contain these bytes.
//!
//! That does not find a number in a table of the storage engine, which leaves out the part of a key that the key before it
//! has, and compresses lower levels. So each item of each table is also decoded and searched. Tables are read as files,
//! whether the engine still uses them or not, with old versions and with removals.

use super::sparse;
use super::table_file;
use dialback::E164;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// The shortest form of a number that is searched for. Random bytes could equal a shorter one.
const SHORTEST: usize = 7;
/// The bits of a table that says with which four bytes a form can begin.
const BEGINNINGS: usize = 1 << 22;

/// How often an unfinished table is looked at.
const LOOKS: u32 = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A search for some numbers.
pub struct DiskSearch {
    forms: HashMap<Vec<u8>, E164>,
    lengths: BTreeSet<usize>,
    /// Which hashes of four bytes a form begins with. Nearly all places of a file are passed over with it.
    beginnings: Vec<bool>,
}

/// A place of the disk with one of the numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// `None` for a table that cannot be decoded, which may hold any number.
    pub number: Option<E164>,
    pub file: PathBuf,
    pub at: String,
}

impl DiskSearch {
    pub fn new(numbers: impl IntoIterator<Item = E164>) -> Self {
        let mut search = Self { forms: HashMap::new(), lengths: BTreeSet::new(), beginnings: vec![false; BEGINNINGS] };
        for number in numbers {
            let [_, integer @ ..] = number.code().to_be_bytes();
            let mut reversed = integer;
            reversed.reverse();
            for form in [number.digits().as_bytes(), &integer, &reversed] {
                assert!(form.len() >= SHORTEST, "short numbers are found anywhere");
                search.lengths.insert(form.len());
                search.beginnings[beginning(form).expect("long enough")] = true;
                search.forms.insert(form.to_vec(), number);
            }
        }
        search
    }

    /// Searches for numbers that are written like `+493012345678`.
    pub fn of_texts(numbers: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let number = |text: &str| E164::from_digits(text.trim_start_matches('+')).expect("digits");
        Self::new(numbers.into_iter().map(|text| number(text.as_ref())))
    }

    /// Returns all places with a number, and the tables that cannot be decoded. A file that is removed meanwhile holds
    /// nothing.
    pub fn traces(&self, directory: &Path) -> Vec<Trace> {
        files(directory).iter().flat_map(|file| self.traces_in(file)).collect()
    }

    /// Returns the files with a number, and the tables that cannot be decoded.
    pub fn files(&self, directory: &Path) -> Vec<PathBuf> {
        let holding = |file: &PathBuf| !self.traces_in(file).is_empty();
        files(directory).into_iter().filter(holding).collect()
    }

    /// Returns which of the numbers are on the disk.
    pub fn numbers(&self, directory: &Path) -> HashSet<E164> {
        self.traces(directory).into_iter().filter_map(|trace| trace.number).collect()
    }

    /// Searches a file. If it is a table that the engine has not finished, waits for it.
    fn traces_in(&self, file: &Path) -> Vec<Trace> {
        for _ in 0..LOOKS {
            let traces = self.traces_now_in(file);
            if traces.iter().all(|trace| trace.number.is_some()) {
                return traces;
            }
            sleep(BETWEEN_LOOKS);
        }
        self.traces_now_in(file)
    }

    fn traces_now_in(&self, file: &Path) -> Vec<Trace> {
        let mut traces = Vec::new();
        let mut add = |number, at| traces.push(Trace { number, file: file.to_owned(), at });
        for (start, bytes) in read(file).unwrap_or_default() {
            self.see(&bytes, &mut |at, number| {
                let around = &bytes[at.saturating_sub(12)..(at + 16).min(bytes.len())];
                add(Some(number), format!("near byte {}: {}", start + at as u64, hex(around)));
            });
        }
        if !table_file::is_table(file) {
            return traces;
        }
        // The engine writes tables without holes.
        let bytes = fs::read(file).unwrap_or_default();
        let items = table_file::read_items(file, &bytes, |key, value| {
            for part in [key, value] {
                self.see(part, &mut |_, number| {
                    add(Some(number), format!("key {}, value {}", hex(key), hex(value)));
                });
            }
        });
        if let Err(undecoded) = items
            && file.exists()
        {
            add(None, format!("a table that cannot be decoded: {undecoded:?}"));
        }
        traces
    }

    /// Calls `found` for each place of these bytes with a number.
    fn see(&self, bytes: &[u8], found: &mut impl FnMut(usize, E164)) {
        const PART: usize = 4096;
        for start in (0..bytes.len()).step_by(PART) {
            let end = bytes.len().min(start + PART);
            // Journals are mostly zeros. A form may begin with some of them.
            let reached = &bytes[start..bytes.len().min(end + SHORTEST)];
            if *reached == [0; PART + SHORTEST][..reached.len()] {
                continue;
            }
            for at in start..end {
                if beginning(&bytes[at..]).is_none_or(|hash| !self.beginnings[hash]) {
                    continue;
                }
                for length in &self.lengths {
                    if let Some(number) = bytes.get(at..at + length).and_then(|form| self.forms.get(form)) {
                        found(at, *number);
                    }
                }
            }
        }
    }
}

/// Describes the first traces, a line each.
pub fn describe(traces: &[Trace]) -> String {
    let mut text = format!("{} places\n", traces.len());
    for Trace { number, file, at } in traces.iter().take(10) {
        let number = number.map_or("?".into(), |number| number.digits().to_string());
        writeln!(text, "{number} in {}: {at}", file.display()).expect("a text");
    }
    text
}

/// Returns all files below a directory.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Returns the written pieces of a file, each with some of the zeros around it, which a number may begin or end with.
/// Returns `None` if there is no such file.
fn read(path: &Path) -> Option<Vec<(u64, Vec<u8>)>> {
    const AROUND: [u8; 8] = [0; 8];
    match File::open(path).and_then(|file| sparse::pieces(&file)) {
        Ok(pieces) => {
            let padded = |(at, piece): (u64, Vec<u8>)| (at, [&AROUND[..], &piece, &AROUND].concat());
            Some(pieces.into_iter().map(padded).collect())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// Returns a hash of the first four bytes, or `None` if there are fewer.
fn beginning(bytes: &[u8]) -> Option<usize> {
    let word = u32::from_le_bytes(*bytes.first_chunk()?);
    Some((word.wrapping_mul(0x9E37_79B1) >> 10) as usize)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
