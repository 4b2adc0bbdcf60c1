//! `dialback contact`.

use super::place::PlaceOptions;
use super::remote::escape;
use crate::failure::Failure;
use crate::out;
use clap::Subcommand;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum ContactCommand {
    /// Erase a contact: all its calls, in the whole environment, for good
    Forget {
        /// The contact's phone number
        number: String,
        #[command(flatten)]
        place: PlaceOptions,
    },
}

pub(crate) fn run(command: &ContactCommand, json: bool) -> Result<ExitCode, Failure> {
    match command {
        ContactCommand::Forget { number, place } => {
            let answer = place.open()?.delete(&format!("/contacts/{}", escape(number)))?;
            let erased = &answer["data"];
            if json {
                out::line(format_args!("{erased}"))?;
            } else {
                out::line(format_args!("erased; {} of your numbers had called it", erased["pairs_erased"]))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
