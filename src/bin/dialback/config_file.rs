//! The configuration file of `dialback serve`: TOML, with a key for each flag.

use crate::toml_file;
use clap::{Arg, ArgAction, Command};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Flags that make no sense in a file.
const NOT_IN_A_FILE: [&str; 4] = ["config", "check-config", "help", "version"];

/// A configuration file that is TOML. Its keys and values are not checked yet.
pub(crate) struct ConfigFile {
    path: PathBuf,
    text: String,
    table: Table,
}

impl ConfigFile {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = toml_file::text(path)?;
        Ok(Self { path: path.to_owned(), table: toml_file::parse(path, &text)?, text })
    }

    /// Returns each flag of the file, with the arguments that mean the same on the command line.
    ///
    /// # Errors
    /// A key is not the name of a flag, or its value has a type that no flag has.
    pub(crate) fn arguments(&self, command: &Command) -> Result<Vec<(String, Vec<OsString>)>, String> {
        let options: Vec<&Arg> = command.get_arguments().collect();
        let written = |(key, value): (&String, &Value)| {
            let is_it = |option: &&&Arg| option.get_long() == Some(key) && !NOT_IN_A_FILE.contains(&key.as_str());
            let option = options.iter().find(is_it).ok_or_else(|| self.wrong(key, "there is no such option"))?;
            Ok((key.clone(), self.written(option, key, value)?))
        };
        self.table.iter().map(written).collect()
    }

    fn written(&self, option: &Arg, key: &str, value: &Value) -> Result<Vec<OsString>, String> {
        let is_switch = matches!(option.get_action(), ArgAction::SetTrue);
        let argument = |value: &Value| {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Integer(number) => number.to_string(),
                _ => return Err(self.wrong(key, "write a text in quotes, a whole number, or a list of these")),
            };
            Ok(format!("--{key}={text}").into())
        };
        match value {
            Value::Boolean(true) if is_switch => Ok(vec![format!("--{key}").into()]),
            Value::Boolean(false) if is_switch => Ok(Vec::new()),
            _ if is_switch => Err(self.wrong(key, "write true or false")),
            Value::Array(values) => values.iter().map(argument).collect(),
            value => Ok(vec![argument(value)?]),
        }
    }

    /// Returns the message for a wrong value of a key, with the file and the line.
    pub(crate) fn wrong(&self, key: &str, what: &str) -> String {
        let is_it = |line: &str| {
            let line = line.trim_start().trim_start_matches(['"', '\'']);
            let rest = line.strip_prefix(key).map(|rest| rest.trim_start_matches(['"', '\'']).trim_start());
            rest.is_some_and(|rest| rest.starts_with('='))
        };
        let line = self.text.lines().position(is_it).map(|line| format!(", line {}", line + 1)).unwrap_or_default();
        format!("{}{line}: {key}: {what}", self.path.display())
    }
}
