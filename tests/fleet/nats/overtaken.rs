//! A reader that is slower than the truncation of the stream.

use super::nats::NatsServer;
use super::stream::{LONG, messages, read};
use super::{open, options};
use dialback::fleet::{Position, Stream, StreamError};

/// More messages than the server sends ahead of a request.
const MANY: u64 = 15_000;

#[test]
fn a_reader_behind_a_truncation_gets_gone() {
    let server = NatsServer::start_with("jetstream { store_dir: \"STORE\" }");
    let (writer, reader) = (open(options(&server)), open(options(&server)));
    writer.publish(&messages(0, 0..1)).expect("published");
    read(&reader, Position::START, 1);
    writer.publish(&messages(0, 1..MANY)).expect("published");
    writer.truncate(Position(MANY - 10)).expect("truncated");
    let mut after = Position(1);
    let gone = loop {
        match reader.consume(after, usize::MAX, LONG) {
            Ok(some) => {
                for delivery in some {
                    assert_eq!(delivery.position.0, after.0 + 1, "no message is skipped silently");
                    after = delivery.position;
                }
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(gone, StreamError::Gone), "{gone}");
    assert!(after < Position(MANY - 10), "{after} is there");
    assert_eq!(reader.consume(Position(MANY - 10), 1, LONG).expect("read")[0].position, Position(MANY - 9));
}
