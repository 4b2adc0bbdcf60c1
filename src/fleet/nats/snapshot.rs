//! Snapshots in the object store: written in chunks with a digest. The old one is removed after the new one is
//! complete.

use super::core::Core;
use super::error::{away, engine, getting, purging, putting, reading};
use crate::fleet::{Position, Snapshot, StreamError};
use async_nats::jetstream::object_store::{GetErrorKind, Object, ObjectMetadata};
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures_util::StreamExt;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{self, BufReader, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;

const NAME: &str = "snapshot";
/// The size of a chunk, which the server acknowledges as one message, if the server accepts messages of this size.
const CHUNK: usize = 256 << 10;
/// How many bytes identify a snapshot: its header with a random identity.
const BEGINNING: usize = 64;
const POSITION: &str = "position";
const INCARNATION: &str = "incarnation";

pub(super) async fn write(core: &Core, at: Position, content: &mut dyn Read) -> Result<(), StreamError> {
    let prepared = core.prepared().await?;
    let metadata = HashMap::from([
        (POSITION.to_owned(), at.to_string()),
        (INCARNATION.to_owned(), prepared.incarnation.to_string()),
    ]);
    let chunk_size = Some(CHUNK.min(core.connection.largest()));
    let object = ObjectMetadata { name: NAME.into(), chunk_size, metadata, ..ObjectMetadata::default() };
    let before = last_written(core).await?;
    let mut source = Blocking { content, beginning: Vec::new() };
    match prepared.bucket.put(object, &mut source).await {
        Ok(put) => drop_orphans(core, before, &put.nuid).await,
        Err(error) => {
            // If the connection is lost, a later writer removes the chunks.
            let _ = drop_unfinished(core, &source.beginning).await;
            Err(putting(&error))
        }
    }
}

/// Removes the chunks of this node's writer, which did not finish. They would take the room that the next one needs. The
/// client does not say where they are, so they are found by their beginning, which has a random identity.
async fn drop_unfinished(core: &Core, beginning: &[u8]) -> Result<(), StreamError> {
    let bucket = bucket(core).await?;
    let chunks = format!("$O.{}.C.>", core.connection.options.bucket());
    let mut subjects = bucket.info_with_subjects(chunks).await.map_err(away)?;
    while let Some(subject) = subjects.next().await {
        let (subject, _) = subject.map_err(away)?;
        match bucket.get_first_raw_message_by_subject(&subject, 1).await {
            Ok(first) if first.payload.starts_with(beginning) && !beginning.is_empty() => {
                bucket.purge().filter(subject).await.map_err(|error| purging(&error))?;
                return Ok(());
            }
            // Another writer's, or another node removed it meanwhile.
            _ => {}
        }
    }
    Ok(())
}

/// Returns the position, in the bucket's own stream, at which the previous snapshot was complete; 0 if there is none.
async fn last_written(core: &Core) -> Result<u64, StreamError> {
    let bucket = bucket(core).await?;
    match bucket.get_last_raw_message_by_subject(&format!("$O.{}.M.*", core.connection.options.bucket())).await {
        Ok(message) => Ok(message.sequence),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(0),
        Err(error) => Err(reading(&error)),
    }
}

/// Removes the chunks of writers that did not finish. A writer that has added nothing since the previous snapshot was
/// complete counts as dead.
async fn drop_orphans(core: &Core, before: u64, own: &str) -> Result<(), StreamError> {
    let bucket = bucket(core).await?;
    let chunks = format!("$O.{}.C.", core.connection.options.bucket());
    let mut subjects = bucket.info_with_subjects(format!("{chunks}>")).await.map_err(away)?;
    while let Some(subject) = subjects.next().await {
        let (subject, _) = subject.map_err(away)?;
        if subject.strip_prefix(&chunks) == Some(own) {
            continue;
        }
        match bucket.get_last_raw_message_by_subject(&subject).await {
            Ok(last) if last.sequence > before => {}
            Ok(_) => drop(bucket.purge().filter(subject).await.map_err(|error| purging(&error))?),
            // Another node removed it meanwhile.
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {}
            Err(error) => return Err(reading(&error)),
        }
    }
    Ok(())
}

async fn bucket(core: &Core) -> Result<Stream, StreamError> {
    let stream = core.connection.context.get_stream(format!("OBJ_{}", core.connection.options.bucket())).await;
    stream.map_err(|error| getting(&error))
}

pub(super) async fn read(core: &Arc<Core>) -> Result<Option<Snapshot>, StreamError> {
    let prepared = core.prepared().await?;
    let object = match prepared.bucket.get(NAME).await {
        Ok(object) => object,
        Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(away(error)),
    };
    let said = |key: &str| object.info.metadata.get(key).and_then(|text| text.parse::<u64>().ok());
    // The positions of a deleted stream say nothing about this stream.
    if said(INCARNATION) != Some(prepared.incarnation) {
        return Ok(None);
    }
    let at = said(POSITION).ok_or_else(|| engine("the snapshot has no position"))?;
    let reader = Reader { core: Arc::clone(core), object, has_failed: false };
    Ok(Some(Snapshot { at: Position(at), content: Box::new(BufReader::with_capacity(CHUNK, reader)) }))
}

/// Reads from a blocking source, on the caller's thread.
struct Blocking<'a> {
    content: &'a mut dyn Read,
    /// The first bytes that were read.
    beginning: Vec<u8>,
}

impl AsyncRead for Blocking<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let out = into.initialize_unfilled();
        let read = self.content.read(out)?;
        let wanted = BEGINNING.saturating_sub(self.beginning.len());
        self.beginning.extend(&out[..read.min(wanted)]);
        into.advance(read);
        Poll::Ready(Ok(()))
    }
}

struct Reader {
    core: Arc<Core>,
    object: Object,
    has_failed: bool,
}

impl Read for Reader {
    /// Fails at the end if the digest is wrong, and earlier if the next part does not arrive in time. The chunks of a
    /// replaced snapshot never arrive.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // After a failure, the object would read from its beginning again.
        if self.has_failed {
            return Err(io::Error::other("the snapshot is truncated: read it again"));
        }
        let mut into = ReadBuf::new(into);
        let object = &mut self.object;
        let reading = poll_fn(|cx| Pin::new(&mut *object).poll_read(cx, &mut into));
        let done = self.core.connection.run(async { timeout(self.core.connection.options.patience, reading).await });
        let done = done.unwrap_or_else(|_| {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the next part of the snapshot did not arrive in time"))
        });
        self.has_failed = done.is_err();
        done.map(|()| into.filled().len())
    }
}
