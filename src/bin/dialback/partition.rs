//! `dialback partition`.

use crate::failure::Failure;
use crate::out;
use dialback::E164;
use dialback::fleet::{Settings, partition_of};
use serde_json::json;
use std::process::ExitCode;

/// Says in which of a fleet's 16 partitions a number is, for `dialback serve --fleet-share`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PartitionOptions {
    /// Numbers of yours, international: `+15551234567`
    #[arg(required = true, value_name = "NUMBER")]
    numbers: Vec<String>,
}

pub(crate) fn run(options: &PartitionOptions, json: bool) -> Result<ExitCode, Failure> {
    for number in &options.numbers {
        // Not by the parser of the arguments, which would show the number.
        let number = E164::parse_international(number).map_err(|error| Failure::new(error.to_string()))?;
        let partition = partition_of(number, Settings::PARTITIONS);
        let number = number.digits();
        if json {
            let said = json!({ "number": format!("+{number}"), "partition": partition });
            out::line(format_args!("{said}"))?;
        } else {
            out::line(format_args!("+{number}\t{partition}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
