//! Measures the time of a restart, compared with opening the bare storage engine and reading each pair once.
//!
//! `cargo run --release --features store --example restart -- [PAIRS] [ROUNDS] [DIRECTORY]`
//!
//! The program creates a data directory with PAIRS pairs (ten million by default) over a thousand numbers, unless it
//! exists. It then measures both in turn and prints the medians and their ratio. Each round reads the files from the
//! page cache if they fit there, or from the disk if the program may drop the cache (as root).

use dialback::Service;
use dialback::store::{EventStore, FjallStore};
use fjall::{Database, KeyspaceCreateOptions};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[path = "support/filled.rs"]
mod filled;

use filled::{START, fill};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let pairs: u64 = arguments.next().map_or(Ok(10_000_000), |pairs| pairs.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(5), |rounds| rounds.parse())?;
    let directory = tempfile::tempdir()?;
    let path = arguments.next().map_or_else(|| directory.path().join("data"), PathBuf::from);
    if !path.exists() {
        let began = Instant::now();
        fill(&path, pairs, START)?;
        println!("{pairs} pairs stored in {:.1} s", began.elapsed().as_secs_f64());
    }
    let began = Instant::now();
    let mut store = FjallStore::open(&path)?;
    println!("opened in {:.2} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    store.recover(&|_| Ok(()))?;
    println!("read by all processors in {:.2} s", began.elapsed().as_secs_f64());
    drop(store);
    let cold = drop_caches();
    println!("{}", if cold { "from the disk" } else { "from the page cache" });
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        drop_caches();
        bare.push(read_bare(&path, pairs)?);
        drop_caches();
        ours.push(start(&path, pairs)?);
        println!("round {round}: bare {:.2} s, restart {:.2} s", bare[round].as_secs_f64(), ours[round].as_secs_f64());
    }
    let (bare, ours) = (median(bare), median(ours));
    println!("bare open and scan  {:6.2} s", bare.as_secs_f64());
    println!("restart to ready    {:6.2} s", ours.as_secs_f64());
    println!("ratio               {:6.2}", ours.as_secs_f64() / bare.as_secs_f64());
    Ok(())
}

/// Opens the bare storage engine and reads each key and value once.
fn read_bare(path: &Path, pairs: u64) -> Result<Duration, Box<dyn Error>> {
    let began = Instant::now();
    let database = Database::builder(path.join("store")).open()?;
    let registers = database.keyspace("registers", KeyspaceCreateOptions::default)?;
    let (mut seen, mut sum) = (0, 0u64);
    for item in registers.iter() {
        let (key, value) = item.into_inner()?;
        sum = sum.wrapping_add(u64::from(key[9]) + u64::from(value[7]));
        seen += 1;
    }
    let took = began.elapsed();
    assert_eq!(seen, pairs, "all of them ({sum})");
    Ok(took)
}

/// Starts a service until it is ready.
fn start(path: &Path, pairs: u64) -> Result<Duration, Box<dyn Error>> {
    let began = Instant::now();
    let service = Service::builder(FjallStore::open(path)?).start()?;
    let took = began.elapsed();
    assert_eq!(service.history().len() as u64, pairs, "all of them");
    Ok(took)
}

/// Returns whether the next read comes from the disk.
fn drop_caches() -> bool {
    std::fs::write("/proc/sys/vm/drop_caches", "1").is_ok()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
