//! The program `dialback`, as far as an import needs it.

mod import;

use clap::Parser;
use dialback::store::FjallStore;
use dialback::{Engine, Service, Timestamp};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Parser)]
#[command(version)]
enum Args {
    /// Load call records from a CSV file
    Import {
        #[command(flatten)]
        options: import::Options,
        /// The data directory; made where there is none
        #[arg(long, value_name = "DIR", default_value = "dialback-data")]
        data: PathBuf,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let Args::Import { options, data, json } = Args::parse();
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX));
    let options = import::Options { json, ..options };
    let service = FjallStore::open(&data).and_then(|store| Service::start(store, Engine::new(), |_| {}));
    let service = match service {
        Ok(service) => service,
        Err(error) => {
            eprintln!("dialback: {error}");
            return ExitCode::from(4);
        }
    };
    match import::run(&options, &service, now, &mut io::stdout(), &mut io::stderr()) {
        Ok(summary) if summary.is_complete() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(3),
        Err(error) => {
            eprintln!("dialback: {error}");
            ExitCode::FAILURE
        }
    }
}
