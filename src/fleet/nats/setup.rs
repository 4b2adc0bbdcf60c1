//! The fleet's stream and bucket on a server: created if they do not exist, rejected if they are not this fleet's.

use super::connection::Connection;
use super::error::{away, engine, getting};
use super::repeated::repeated;
use crate::fleet::StreamError;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::object_store::{self, ObjectStore};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, Placement, RetentionPolicy, StorageType, Stream};

/// The version of the layout of subjects and messages. A stream has one version.
const FORMAT: u32 = 1;

/// The stream and the bucket that a connection's server has.
pub(super) struct Prepared {
    pub(super) generation: u64,
    /// How often the stream had been doubted before it was looked up.
    pub(super) doubts: u64,
    pub(super) bucket: ObjectStore,
    pub(super) incarnation: u64,
    pub(super) replicas: usize,
}

pub(super) async fn prepare(connection: &Connection, generation: u64, doubts: u64) -> Result<Prepared, StreamError> {
    let wanted = wanted(connection);
    let stream = match look_up(connection, &wanted.name).await? {
        Some(stream) => stream,
        None => connection.context.create_stream(&wanted).await.map_err(|error| making(&error))?,
    };
    let info = stream.cached_info();
    if let Some(wrong) = wrong(&info.config, &wanted) {
        return Err(engine(format_args!("the stream {} is not this fleet's: {wrong}", wanted.name)));
    }
    let (incarnation, replicas) = (incarnation(info), info.config.num_replicas);
    let bucket = bucket(connection).await?;
    Ok(Prepared { generation, doubts, bucket, incarnation, replicas })
}

/// Returns the identity of the stream: its creation time in nanoseconds. It survives a restart of the server and a
/// change of the cluster's leader.
pub(super) fn incarnation(info: &Info) -> u64 {
    u64::try_from(info.created.unix_timestamp_nanos()).unwrap_or_default()
}

fn wanted(connection: &Connection) -> Config {
    Config {
        name: connection.options.stream.clone(),
        subjects: connection.subjects.all(),
        // Metadata would suit better, but servers before 2.10 do not keep it.
        description: Some(format!("dialback fleet, format {FORMAT}, partitions {}", connection.options.partitions)),
        retention: RetentionPolicy::Limits,
        // A full stream rejects new messages, instead of removing old ones unnoticed.
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: connection.options.storage.replicas,
        max_bytes: max_bytes(connection),
        placement: placement(connection),
        ..Config::default()
    }
}

/// Returns the reason why a stream cannot be this fleet's. Settings that are not compared here, such as replicas, may
/// be changed by an operator.
fn wrong(found: &Config, wanted: &Config) -> Option<String> {
    if found.description != wanted.description {
        let found = found.description.as_deref().unwrap_or("nothing");
        return Some(format!(
            "its description is `{found}`, not `{}`",
            wanted.description.as_deref().unwrap_or_default()
        ));
    }
    let mut subjects = found.subjects.clone();
    subjects.sort_unstable();
    let mut own = wanted.subjects.clone();
    own.sort_unstable();
    if subjects != own {
        return Some(format!("its subjects are {}", subjects.join(", ")));
    }
    if found.retention != RetentionPolicy::Limits || found.max_messages_per_subject > 0 || !found.max_age.is_zero() {
        return Some("its settings remove messages (retention, max_age or max_msgs_per_subject)".into());
    }
    if found.discard != DiscardPolicy::New && (found.max_bytes > 0 || found.max_messages > 0) {
        return Some("it removes its oldest messages when it is full (set discard to new)".into());
    }
    (found.no_ack || found.sealed || found.deny_purge || found.mirror.is_some())
        .then(|| "it does not acknowledge, is sealed, is a mirror, or denies purges".into())
}

async fn bucket(connection: &Connection) -> Result<ObjectStore, StreamError> {
    let name = connection.options.bucket();
    // Look up the bucket's stream: the error for a bucket does not distinguish a missing bucket from a missing answer.
    if look_up(connection, &format!("OBJ_{name}")).await?.is_some() {
        return connection.context.get_object_store(&name).await.map_err(away);
    }
    let config = object_store::Config {
        bucket: name,
        num_replicas: connection.options.storage.replicas,
        storage: StorageType::File,
        max_bytes: max_bytes(connection),
        placement: placement(connection),
        ..object_store::Config::default()
    };
    connection.context.create_object_store(config).await.map_err(away)
}

/// Returns the stream with this name, or `None` if there is none.
async fn look_up(connection: &Connection, name: &str) -> Result<Option<Stream>, StreamError> {
    let ask = async || match connection.context.get_stream(name).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(getting(&error)),
    };
    repeated(connection.options.patience, ask).await
}

/// Returns the size limit as the server takes it: 0 for none.
fn max_bytes(connection: &Connection) -> i64 {
    connection.options.storage.max_bytes.map_or(0, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
}

fn placement(connection: &Connection) -> Option<Placement> {
    let (cluster, tags) = (connection.options.storage.cluster.clone(), connection.options.storage.tags.clone());
    (cluster.is_some() || !tags.is_empty()).then_some(Placement { cluster, tags })
}

fn is_missing(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// Converts the error of creating the stream. If two nodes create it at once, both succeed unless they request
/// different settings.
fn making(error: &CreateStreamError) -> StreamError {
    match error.kind() {
        CreateStreamErrorKind::TimedOut
        | CreateStreamErrorKind::Response
        | CreateStreamErrorKind::JetStreamUnavailable => away(error),
        _ => engine(format_args!("cannot create the stream: {error}")),
    }
}
