//! Nodes of an earlier version cannot authenticate calls, and would skip them. So each node publishes a heartbeat first,
//! before which such a node halts.

use super::stream::SimServer;
use super::threads::{Place, call, configure, follows, reason, running_clock, start_over, until};
use crate::support::random::Random;
use dialback::Reason;
use dialback::fleet::{Keys, Settings, Share};
use std::path::Path;
use std::time::Duration;

fn start(server: &SimServer, path: &Path, encrypts: bool) -> Place {
    start_over(server.port(0), path, |settings: &mut Settings| {
        settings.keys = Keys::read(&"5a".repeat(32), "announced").expect("a key").encrypting(encrypts);
        settings.now = running_clock();
        // No other heartbeats, and no snapshots.
        settings.beat_every = Duration::from_secs(3600);
        settings.share = Share::of(0..15);
    })
}

/// Returns the number of messages that only nodes of this version can authenticate. Each must follow a heartbeat of its
/// node.
fn announced(server: &SimServer) -> usize {
    let messages = server.messages();
    let node = |payload: &[u8]| payload[14..30].to_vec();
    let is_tagged = |payload: &[u8]| payload[5] & 4 != 0;
    for (index, message) in messages.iter().enumerate().filter(|(_, message)| is_tagged(&message.payload)) {
        let is_its_heartbeat =
            |earlier: &[u8]| earlier[4] == b'E' && !is_tagged(earlier) && node(earlier) == node(&message.payload);
        assert!(messages[..index].iter().any(|earlier| is_its_heartbeat(&earlier.payload)), "{}", message.position);
    }
    messages.iter().filter(|message| is_tagged(&message.payload)).count()
}

fn record(place: &Place, index: u64) {
    place.service.record(vec![call(index)]).expect("it is durable");
    until("the call is published", || follows(place));
}

#[test]
fn a_heartbeat_precedes_the_calls_of_each_start_and_those_after_a_loss_or_a_purge() {
    for encrypts in [false, true] {
        let server = SimServer::new(Random::new(1, 1), 1);
        server.heal();
        let directory = tempfile::tempdir().expect("a directory");
        let place = start(&server, directory.path(), encrypts);
        configure(&place);
        record(&place, 1);
        assert_eq!(announced(&server), 1);
        // Each start has another identity, and finds calls in its outbox.
        server.cut(0, true);
        place.service.record(vec![call(2)]).expect("it is durable");
        drop(place);
        server.cut(0, false);
        let place = start(&server, directory.path(), encrypts);
        until("the call is published", || follows(&place));
        assert_eq!(announced(&server), 2);

        server.purge();
        until("the node notices", || !server.messages().is_empty());
        record(&place, 3);
        // It publishes again what it has, if the stream lost it.
        assert!(announced(&server) > 0);

        server.recreate();
        until("all is published again", || follows(&place) && announced(&server) > 0);
        record(&place, 4);
        assert!(announced(&server) > 1);
        assert_eq!(reason(&place, 4), Reason::Matched);
    }
}
