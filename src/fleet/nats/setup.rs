//! Our stream and our bucket on a server: made where they are not, refused where they are another's.

use super::core::Core;
use super::error::{away, engine, getting};
use crate::fleet::StreamError;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::object_store::{self, ObjectStore};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType};

/// How far the layout of subjects and messages has come. Another one is another stream.
const FORMAT: u32 = 1;

/// What was found at the other end of a connection.
pub(super) struct Prepared {
    pub(super) generation: u64,
    pub(super) bucket: ObjectStore,
    pub(super) incarnation: u64,
    pub(super) replicas: usize,
}

pub(super) async fn prepare(core: &Core, generation: u64) -> Result<Prepared, StreamError> {
    let wanted = wanted(core);
    let stream = match core.context.get_stream(&wanted.name).await {
        Ok(stream) => stream,
        Err(error) if is_missing(&error) => {
            core.context.create_stream(&wanted).await.map_err(|error| making(&error))?
        }
        Err(error) => return Err(getting(&error)),
    };
    let info = stream.cached_info();
    if let Some(wrong) = wrong(&info.config, &wanted) {
        return Err(engine(format_args!("the stream {} is not this fleet's: {wrong}", wanted.name)));
    }
    let (incarnation, replicas) = (incarnation(info), info.config.num_replicas);
    let bucket = bucket(core).await?;
    Ok(Prepared { generation, bucket, incarnation, replicas })
}

/// Which stream it is: when it was made, in nanoseconds, which survives the server's restart and a cluster's change of leader.
pub(super) fn incarnation(info: &Info) -> u64 {
    u64::try_from(info.created.unix_timestamp_nanos()).unwrap_or_default()
}

fn wanted(core: &Core) -> Config {
    Config {
        name: core.options.stream.clone(),
        subjects: core.subjects.all(),
        // Metadata would say it better, and servers before 2.10 do not keep any.
        description: Some(format!("dialback fleet, format {FORMAT}, partitions {}", core.options.partitions)),
        retention: RetentionPolicy::Limits,
        // What is full refuses: a message that made room for another would be gone without a word.
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: core.options.replicas,
        ..Config::default()
    }
}

/// What keeps a stream that is there from being ours. An operator may have changed what is not in here, such as replicas.
fn wrong(found: &Config, wanted: &Config) -> Option<String> {
    if found.description != wanted.description {
        let found = found.description.as_deref().unwrap_or("nothing");
        return Some(format!("it says {found}, not {}", wanted.description.as_deref().unwrap_or_default()));
    }
    let mut subjects = found.subjects.clone();
    subjects.sort_unstable();
    let mut own = wanted.subjects.clone();
    own.sort_unstable();
    if subjects != own {
        return Some(format!("it takes {}", subjects.join(", ")));
    }
    if found.retention != RetentionPolicy::Limits || found.max_messages_per_subject > 0 || !found.max_age.is_zero() {
        return Some("it forgets messages by itself".into());
    }
    if found.discard != DiscardPolicy::New && (found.max_bytes > 0 || found.max_messages > 0) {
        return Some("it drops the oldest messages where it is full".into());
    }
    (found.no_ack || found.sealed || found.deny_purge || found.mirror.is_some())
        .then(|| "it acknowledges nothing, is sealed or a mirror, or cannot be purged".into())
}

async fn bucket(core: &Core) -> Result<ObjectStore, StreamError> {
    let name = core.options.bucket();
    // Asked for as the stream that it is: the error for a bucket hides whether there is none or no answer.
    match core.context.get_stream(format!("OBJ_{name}")).await {
        Ok(_) => core.context.get_object_store(&name).await.map_err(away),
        Err(error) if is_missing(&error) => {
            let config = object_store::Config {
                bucket: name,
                num_replicas: core.options.replicas,
                storage: StorageType::File,
                ..object_store::Config::default()
            };
            core.context.create_object_store(config).await.map_err(away)
        }
        Err(error) => Err(getting(&error)),
    }
}

fn is_missing(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// Of two nodes that make it at once both succeed, unless they want different ones.
fn making(error: &CreateStreamError) -> StreamError {
    match error.kind() {
        CreateStreamErrorKind::TimedOut
        | CreateStreamErrorKind::Response
        | CreateStreamErrorKind::JetStreamUnavailable => away(error),
        _ => engine(format_args!("the stream cannot be made: {error}")),
    }
}
