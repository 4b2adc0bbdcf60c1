//! The client that commands use for the control API.
//!
//! If a daemon holds the data directory, commands send HTTP requests to it. The daemon stores its address and a
//! temporary operator token in the directory, in a file that only its own user can read. If no daemon holds the
//! directory, commands open it and call the API's router in their own process.

use super::remote::{Answer, Remote};
use crate::clock::now;
use crate::data::{self, DataOptions, NewDataOptions};
use crate::failure::Failure;
use axum::http::{Method, Request};
use dialback::http::{self, ACTING_FOR, Api, Limits, Token};
use dialback::store::{FjallStore, MemoryStore};
use dialback::{EnvironmentId, Role, Service};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

/// The largest answer that is read, in bytes. The longest is the document of an environment.
const MAX_ANSWER: usize = 1 << 30;

/// The time limit of a request in this process. A document with a million numbers takes minutes.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// The number of items on a page of a list: the most that the API allows.
const PER_PAGE: u64 = 100;

/// The error code of a change that needs the stream of a fleet, which only a daemon reaches.
const NEEDS_STREAM: &str = "STREAM_AWAY";

pub(crate) enum Client {
    /// A daemon holds the data directory: requests go over HTTP.
    Daemon(Remote),
    /// No daemon holds the data directory: requests go to the router in this process.
    Here {
        router: axum::Router,
        runtime: tokio::runtime::Runtime,
        token: String,
        /// The environment for which the requests act.
        environment: Option<EnvironmentId>,
    },
}

impl Client {
    fn open(options: &DataOptions) -> Result<Self, Failure> {
        let open = || data::unless_held(data::open(options, options.engine()?));
        match Remote::or_opened(&options.data, open)? {
            Ok(service) => Self::here(service),
            Err(remote) => Ok(Self::Daemon(remote)),
        }
    }

    /// Opens a client for an installation that is empty and stores nothing.
    pub(crate) fn in_memory(options: &DataOptions) -> Result<Self, Failure> {
        Self::here(Service::builder(MemoryStore).engine(options.engine()?).start()?)
    }

    /// Opens a client. Fails if the directory does not exist, so that a mistyped path creates nothing.
    pub(crate) fn open_existing(options: &DataOptions) -> Result<Self, Failure> {
        if options.data.exists() { Self::open(options) } else { Err(Failure::no_directory(&options.data)) }
    }

    /// Opens a client for a command that may be the first for a directory.
    pub(crate) fn open_or_create(options: &NewDataOptions) -> Result<Self, Failure> {
        if options.create_directory || FjallStore::look(&options.data.data)? {
            return Self::open(&options.data);
        }
        Err(Failure::no_directory(&options.data.data).and("or add --create-directory"))
    }

    /// Returns this client, with requests that act for an environment.
    pub(crate) fn acting_for(self, id: EnvironmentId) -> Self {
        match self {
            Self::Daemon(remote) => Self::Daemon(remote.acting_for(id)),
            Self::Here { router, runtime, token, .. } => Self::Here { router, runtime, token, environment: Some(id) },
        }
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(&Method::PUT, path, Some(body))
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(&Method::GET, path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(&Method::POST, path, Some(body))
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.ask(&Method::DELETE, path, None)
    }

    /// Returns all items of a list that is answered as a whole.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<Value>, Failure> {
        match self.get(path)?["data"].take() {
            Value::Array(items) => Ok(items),
            _ => Err(Failure::new("the daemon answered with something else than a list")),
        }
    }

    /// Returns all items of a list that is answered page by page.
    pub(crate) fn pages(&self, path: &str) -> Result<Vec<Value>, Failure> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        for page in 1.. {
            let mut answer = self.get(&format!("{path}{joint}per_page={PER_PAGE}&page={page}"))?;
            let last_page = answer["meta"]["last_page"].as_u64().unwrap_or(0);
            if let Value::Array(mut more) = answer["data"].take() {
                items.append(&mut more);
            }
            if page >= last_page {
                break;
            }
        }
        Ok(items)
    }

    /// Returns whether the requests have the token of an operator, and act for no environment.
    pub(crate) fn is_operator(&self) -> bool {
        match self {
            Self::Daemon(remote) => remote.is_operator(),
            Self::Here { environment, .. } => environment.is_none(),
        }
    }

    /// Returns the environments that the token can use.
    pub(crate) fn environments(&self) -> Result<Vec<Value>, Failure> {
        match self {
            Self::Daemon(remote) if !remote.is_operator() => Ok(vec![self.get("/environment")?["data"].take()]),
            _ => self.list("/environments"),
        }
    }

    /// Sends a request and returns the answer. An error of the API becomes a failure.
    fn ask(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let (router, runtime, token, environment) = match self {
            Self::Daemon(remote) => return remote.ask(method, path, body),
            Self::Here { router, runtime, token, environment } => (router, runtime, token, *environment),
        };
        let request = request(method, path, token, environment, body);
        let (status, text) = runtime.block_on(async {
            let answer = router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
            let status = answer.status();
            let text = axum::body::to_bytes(answer.into_body(), MAX_ANSWER).await;
            (status, text.unwrap_or_default())
        });
        let answer = Answer { status, text: text.to_vec() };
        answer.read().map_err(|failure| match &*answer.code() {
            NEEDS_STREAM => failure.and("after you start this node's daemon"),
            _ => failure,
        })
    }

    fn here(service: Service) -> Result<Self, Failure> {
        let token = Token::issue(Role::Operator);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(format!("cannot start the async runtime: {error}")))?;
        // The files of the operator who runs the command have no limit: that of a daemon is for its clients.
        let mut limits = Limits::default();
        (limits.body_bytes, limits.patience) = (usize::MAX, PATIENCE);
        let api = Api::new(Arc::new(service), Arc::new(now)).with_operator(token.digest).with_limits(limits);
        let router = http::router(api);
        Ok(Self::Here { router, runtime, token: token.secret, environment: None })
    }
}

fn request(
    method: &Method,
    path: &str,
    token: &str,
    environment: Option<EnvironmentId>,
    body: Option<&Value>,
) -> Request<axum::body::Body> {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://localhost/api/v1{path}"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json");
    let request = match environment {
        Some(environment) => request.header(ACTING_FOR, environment.to_string()),
        None => request,
    };
    request
        .body(axum::body::Body::from(body.map(|body| body.to_string().into_bytes()).unwrap_or_default()))
        .expect("the paths of the commands are valid")
}
