//! Stored figures: `run,pairs,contender,figure,value`, one a line.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

/// One figure. Ratios are computed within one run only. A run is one process in which contenders take turns.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Record {
    pub(crate) run: u32,
    pub(crate) pairs: u64,
    pub(crate) contender: String,
    pub(crate) figure: String,
    pub(crate) value: f64,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Records(Vec<Record>);

const HEAD: &str = "run,pairs,contender,figure,value";

impl Records {
    pub(crate) fn add(&mut self, run: u32, pairs: u64, contender: &str, figure: &str, value: f64) {
        let (contender, figure) = (contender.to_owned(), figure.to_owned());
        self.0.push(Record { run, pairs, contender, figure, value });
    }

    pub(crate) fn append(&mut self, mut others: Records) {
        self.0.append(&mut others.0);
    }

    pub(crate) fn all(&self) -> &[Record] {
        &self.0
    }

    /// Returns the figure from the first run that has it.
    pub(crate) fn first(&self, pairs: u64, contender: &str, figure: &str) -> Option<f64> {
        self.of(pairs, contender, figure).next().map(|record| record.value)
    }

    /// Returns the ratio of two figures from the first run that has both.
    pub(crate) fn ratio(&self, pairs: u64, over: (&str, &str), under: (&str, &str)) -> Option<f64> {
        self.of(pairs, over.0, over.1).find_map(|over| {
            let under = self.of(pairs, under.0, under.1).find(|under| under.run == over.run)?;
            Some(over.value / under.value)
        })
    }

    fn of(&self, pairs: u64, contender: &str, figure: &str) -> impl Iterator<Item = &Record> {
        self.0.iter().filter(move |r| r.pairs == pairs && r.contender == contender && r.figure == figure)
    }

    pub(crate) fn sizes(&self) -> Vec<u64> {
        self.0.iter().map(|record| record.pairs).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Returns the contenders that have this figure, in order of first appearance.
    pub(crate) fn contenders(&self, figure: &str) -> Vec<&str> {
        let mut names = Vec::new();
        for record in self.0.iter().filter(|record| record.figure == figure) {
            if !names.contains(&record.contender.as_str()) {
                names.push(record.contender.as_str());
            }
        }
        names
    }

    /// Returns the number of the next run.
    pub(crate) fn next_run(&self) -> u32 {
        self.0.iter().map(|record| record.run + 1).max().unwrap_or(1)
    }

    pub(crate) fn to_csv(&self) -> String {
        let mut text = format!("{HEAD}\n");
        for Record { run, pairs, contender, figure, value } in &self.0 {
            text += &format!("{run},{pairs},{contender},{figure},{value:.4}\n");
        }
        text
    }

    pub(crate) fn from_csv(text: &str) -> Result<Records, String> {
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return Err(format!("the first line is not {HEAD}"));
        }
        let record = |line: &str| {
            let mut cells = line.split(',');
            let record = Record {
                run: cells.next()?.parse().ok()?,
                pairs: cells.next()?.parse().ok()?,
                contender: cells.next()?.to_owned(),
                figure: cells.next()?.to_owned(),
                value: cells.next()?.parse().ok()?,
            };
            cells.next().is_none().then_some(record)
        };
        lines
            .map(|line| record(line).ok_or_else(|| format!("no figure: {line}")))
            .collect::<Result<_, _>>()
            .map(Records)
    }

    pub(crate) fn read(file: &Path) -> io::Result<Records> {
        Records::from_csv(&fs::read_to_string(file)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    pub(crate) fn write(&self, file: &Path) -> io::Result<()> {
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(file, self.to_csv())
    }
}
