//! The options that a daemon was started with, and where each comes from.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// The options that a daemon was started with, by the names of their flags.
#[derive(Clone, Default, Debug)]
pub(crate) struct Settings(BTreeMap<String, Setting>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Setting {
    values: Vec<String>,
    source: Source,
    is_list: bool,
    /// The value can contain a login.
    is_private: bool,
}

/// Flags that tell the program what to do, and are no settings.
const NO_SETTINGS: [&str; 3] = ["check-config", "help", "version"];

/// Where an option comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    Nowhere,
    Default,
    File,
    Environment,
    CommandLine,
}

impl Settings {
    pub(crate) fn of<'a>(options: impl Iterator<Item = &'a Arg>, matches: &ArgMatches, from_file: &[String]) -> Self {
        let setting = |option: &Arg| {
            let flag = option.get_long().filter(|flag| !NO_SETTINGS.contains(flag))?.to_owned();
            let id = option.get_id().as_str();
            let values = matches.try_get_raw(id).ok().flatten().into_iter().flatten();
            let values = values.map(|value| value.to_string_lossy().into_owned()).collect();
            let source = match matches.value_source(id) {
                Some(_) if from_file.contains(&flag) => Source::File,
                Some(ValueSource::CommandLine) => Source::CommandLine,
                Some(ValueSource::EnvVariable) => Source::Environment,
                Some(_) => Source::Default,
                None => Source::Nowhere,
            };
            let is_list = option.get_value_delimiter().is_some();
            Some((flag, Setting { values, source, is_list, is_private: option.is_hide_env_values_set() }))
        };
        Self(options.filter_map(setting).collect())
    }

    /// Returns whether an option stands on the command line, which other users of the machine can see.
    pub(crate) fn is_visible(&self, flag: &str) -> bool {
        self.0.get(flag).is_some_and(|setting| setting.source == Source::CommandLine)
    }

    /// Returns the flags whose values differ.
    pub(crate) fn changed<'a>(&'a self, newer: &'a Self) -> Vec<&'a str> {
        let values = |settings: &'a Self, flag: &str| settings.0.get(flag).map(|setting| &setting.values);
        let flags: std::collections::BTreeSet<&String> = self.0.keys().chain(newer.0.keys()).collect();
        flags.into_iter().filter(|flag| values(self, flag) != values(newer, flag)).map(String::as_str).collect()
    }

    /// Returns all options as JSON: each with its value and its source.
    pub(crate) fn shown(&self) -> Value {
        let shown = |(flag, setting): (&String, &Setting)| {
            (flag.clone(), json!({ "value": setting.shown(), "source": setting.source.to_string() }))
        };
        Value::Object(self.0.iter().map(shown).collect())
    }
}

/// Writes the options as a configuration file, each with its source. A private value is left out.
impl Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (flag, setting) in &self.0 {
            if setting.source == Source::Nowhere {
                writeln!(f, "# {flag}")?;
                continue;
            }
            // A file names no other file.
            let is_off = setting.source == Source::Default || setting.is_private || flag == "config";
            let (off, source) = (if is_off { "# " } else { "" }, setting.source);
            // A JSON text or number is also a TOML value.
            writeln!(f, "{off}{flag} = {}  # {source}", setting.shown())?;
        }
        Ok(())
    }
}

impl Setting {
    fn shown(&self) -> Value {
        match self.values.as_slice() {
            _ if self.source == Source::Nowhere => Value::Null,
            _ if self.is_private => json!("(not shown)"),
            [only] if !self.is_list => scalar(only),
            values => values.iter().map(|value| scalar(value)).collect(),
        }
    }
}

fn scalar(text: &str) -> Value {
    let number = text.parse::<u64>().ok().filter(|number| number.to_string() == text);
    number.map(Value::from).or_else(|| text.parse::<bool>().ok().map(Value::from)).unwrap_or_else(|| text.into())
}

impl Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nowhere => "not set",
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::CommandLine => "command line",
        })
    }
}
