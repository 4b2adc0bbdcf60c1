//! The NATS client alone: the throughput and latency that NATS reaches on this machine.

use async_nats::ConnectOptions;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::{Context, ContextBuilder};
use async_nats::jetstream::stream::Config;
use bytes::Bytes;
use futures_util::StreamExt;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// The largest round number of pending messages at which the client does not hang.
const IN_FLIGHT: usize = 4096;

/// The most bytes that it requests at a time, as a node does. Without a limit, the server takes the client for a slow
/// consumer once 64 MiB wait for it, and ends its connection.
const AHEAD_BYTES: usize = 16 << 20;

pub(crate) struct Bare {
    runtime: Runtime,
    context: Context,
}

impl Bare {
    pub(crate) fn connect(url: &str) -> Self {
        Self::with(url, ConnectOptions::new())
    }

    /// Connects with a login and certificates.
    pub(crate) fn with(url: &str, options: ConnectOptions) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
        let context = runtime.block_on(async {
            let client = options.connect(url).await.expect("the server is there");
            ContextBuilder::new().max_ack_inflight(IN_FLIGHT).backpressure_on_inflight(true).build(client)
        });
        Self { runtime, context }
    }

    /// Creates a stream with one subject.
    pub(crate) fn make(&self, stream: &str, subject: &str) {
        let config = Config { name: stream.into(), subjects: vec![subject.into()], ..Config::default() };
        self.runtime.block_on(self.context.create_stream(config)).expect("made");
    }

    pub(crate) fn delete(&self, stream: &str) {
        self.runtime.block_on(self.context.delete_stream(stream)).expect("deleted");
    }

    /// Measures the time until all messages are acknowledged.
    pub(crate) fn publish(&self, subject: &str, messages: &[Vec<u8>]) -> Duration {
        let subject = async_nats::Subject::from(subject.to_owned());
        let began = Instant::now();
        self.runtime.block_on(async {
            let mut under_way = VecDeque::with_capacity(IN_FLIGHT);
            for message in messages {
                if under_way.len() == IN_FLIGHT {
                    acknowledged(&mut under_way).await;
                }
                let sent = self.context.publish(subject.clone(), Bytes::copy_from_slice(message)).await.expect("sent");
                under_way.push_back(sent);
            }
            while !under_way.is_empty() {
                acknowledged(&mut under_way).await;
            }
        });
        began.elapsed()
    }

    /// Measures the time until all messages are received.
    pub(crate) fn replay(&self, stream: &str, count: usize) -> Duration {
        let began = Instant::now();
        self.runtime.block_on(async {
            let stream = self.context.get_stream(stream).await.expect("there");
            let config = pull::Config { ack_policy: AckPolicy::None, memory_storage: true, ..pull::Config::default() };
            let consumer = stream.create_consumer(config).await.expect("made");
            let messages = consumer.stream().max_messages_per_batch(IN_FLIGHT).max_bytes_per_batch(AHEAD_BYTES);
            let messages = messages.messages().await.expect("begun");
            let bytes =
                messages.take(count).fold(0, |sum, message| async move { sum + message.expect("read").payload.len() });
            assert!(bytes.await >= count);
        });
        began.elapsed()
    }

    /// Measures the round trip of each message and its acknowledgement, one after another.
    pub(crate) fn round_trips(&self, subject: &str, count: u64) -> Vec<Duration> {
        (0..count).map(|n| self.publish(subject, &[n.to_be_bytes().repeat(8)])).collect()
    }
}

async fn acknowledged(under_way: &mut VecDeque<async_nats::jetstream::context::PublishAckFuture>) {
    let oldest = under_way.pop_front().expect("one");
    oldest.await.expect("acknowledged");
}
