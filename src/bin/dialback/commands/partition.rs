//! `dialback partition`.

use crate::failure::Failure;
use crate::out;
use dialback::E164;
use dialback::fleet::{Settings, partition_of};
use serde_json::json;
use std::process::ExitCode;

/// Shows the fleet partition (of 16) that each number belongs to, for `dialback serve --fleet-share`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PartitionOptions {
    /// Your numbers in international form, such as `+15551234567`
    #[arg(required = true, value_name = "NUMBER")]
    numbers: Vec<String>,
}

pub(crate) fn run(options: &PartitionOptions, json: bool) -> Result<ExitCode, Failure> {
    for number in &options.numbers {
        // The argument parser does not parse the number, because its error messages would show it.
        let number = E164::parse_international(number).map_err(|error| Failure::new(error.to_string()))?;
        let partition = partition_of(number, Settings::PARTITIONS);
        let number = number.digits();
        if json {
            let said = json!({ "number": format!("+{number}"), "partition": partition });
            out::exact(format_args!("{said}"))?;
        } else {
            out::exact(format_args!("+{number}\t{partition}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
