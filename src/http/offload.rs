//! Requests that run on other threads than routes do.

use super::Api;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body::Frame;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::Instrument;

/// Parts of a body that are made before the client has taken those before.
const AHEAD: usize = 1;

/// Runs the request on the workers, where there are any. It ends there when the client no longer waits for it.
pub(super) async fn run(State(api): State<Api>, request: Request, next: Next) -> Response {
    let Some(workers) = &api.workers else { return next.run(request).await };
    let mut task = Task(workers.spawn(next.run(request).in_current_span()));
    match (&mut task.0).await {
        Ok(response) => response.map(|body| made_by(workers, body)),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Nothing else cancels it, but the end of its runtime.
            Err(_) => std::future::pending().await,
        },
    }
}

/// The same body, made on the workers where making it takes time.
fn made_by(workers: &Handle, mut body: Body) -> Body {
    if body.size_hint().exact().is_some() {
        return body;
    }
    let (sender, parts) = mpsc::channel(AHEAD);
    let task = workers.spawn(async move {
        while let Some(part) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            if sender.send(part).await.is_err() {
                return;
            }
        }
    });
    Body::new(Remote { parts, task: Some(Task(task)) })
}

/// A task that ends when this is dropped.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A body that a task makes.
struct Remote {
    parts: mpsc::Receiver<Part>,
    task: Option<Task<()>>,
}

type Part = Result<Frame<Bytes>, axum::Error>;

impl HttpBody for Remote {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Part>> {
        if let Some(part) = ready!(self.parts.poll_recv(context)) {
            return Poll::Ready(Some(part));
        }
        let Some(task) = &mut self.task else { return Poll::Ready(None) };
        let ended = ready!(Pin::new(&mut task.0).poll(context));
        self.task = None;
        // The client must not take what it has for all that there is.
        Poll::Ready(ended.err().map(|error| Err(axum::Error::new(error))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One part, and then a panic.
    struct Broken(bool);

    impl HttpBody for Broken {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Part>> {
            assert!(std::mem::take(&mut self.0), "planted");
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"part")))))
        }
    }

    #[tokio::test]
    async fn body_whose_making_panics_does_not_look_complete() {
        let mut body = made_by(&Handle::current(), Body::new(Broken(true)));
        let mut next = async || poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        assert!(matches!(next().await, Some(Ok(_))));
        assert!(matches!(next().await, Some(Err(_))));
        assert!(next().await.is_none());
    }
}
