//! Measures the events a second that are published with acknowledgement and replayed, compared with the bare client
//! and equal messages.

use crate::bare::Bare;
use crate::support::nats::NatsServer;
use crate::{median, verdict};
use dialback::fleet::nats::{NatsOptions, NatsStream};
use dialback::fleet::{Position, Stream, Subject};
use std::time::{Duration, Instant};

/// The size of an event in bytes.
const EVENT: usize = 45;
/// The number of events that a node processes at once.
const AT_ONCE: usize = 1 << 20;
const WAIT: Duration = Duration::from_secs(20);

pub(crate) fn run(rounds: usize, messages: u64) {
    println!("| events a message | what | bare, events/s | ours, events/s | ratio | asked | |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (events, share) in [(1, 1), (100, 4), (500, 16)] {
        let count = usize::try_from(messages).expect("a count") / share;
        of_a_size(rounds, events, count.max(100));
    }
}

fn of_a_size(rounds: usize, events: usize, count: usize) {
    let server = NatsServer::start_with("jetstream { store_dir: \"STORE\" }");
    let messages: Vec<Vec<u8>> = (0..count).map(|n| vec![n.to_le_bytes()[0]; events * EVENT]).collect();
    let ours: Vec<(Subject, Vec<u8>)> = messages.iter().map(|message| (Subject::Calls(0), message.clone())).collect();
    let bare = Bare::connect(&server.url());
    let mut times = [const { Vec::new() }; 4];
    for round in 0..rounds {
        let name = format!("BARE{round}");
        bare.make(&name, &format!("bare.{round}"));
        times[0].push(bare.publish(&format!("bare.{round}"), &messages));
        let name_of_ours = format!("OURS{round}");
        let options = NatsOptions {
            stream: name_of_ours.clone(),
            prefix: format!("ours.{round}"),
            ..NatsOptions::new(server.url())
        };
        let stream = NatsStream::new(options).expect("options that can be");
        stream.server().expect("there");
        let began = Instant::now();
        assert_eq!(stream.publish(&ours).expect("published"), Position(count as u64));
        times[1].push(began.elapsed());
        times[2].push(bare.replay(&name, count));
        let began = Instant::now();
        replay(&stream, count);
        times[3].push(began.elapsed());
        bare.delete(&name);
        bare.delete(&name_of_ours);
    }
    let rates = times.map(|times| (count * events) as f64 / median(times).as_secs_f64());
    for (what, bare, ours) in [("published", rates[0], rates[1]), ("replayed", rates[2], rates[3])] {
        let ratio = ours / bare;
        println!("| {events} | {what} | {bare:.0} | {ours:.0} | {ratio:.2} | >= 0.7 | {} |", verdict(ratio >= 0.7));
    }
}

fn replay(stream: &NatsStream, count: usize) {
    let (mut after, mut seen) = (Position::START, 0);
    while seen < count {
        let some = stream.consume(after, AT_ONCE, WAIT).expect("read");
        seen += some.len();
        after = some.last().expect("there is more").position;
    }
}
