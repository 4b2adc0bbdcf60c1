//! The client that commands use for the control API.
//!
//! If a daemon holds the data directory, commands send HTTP requests to it. The daemon stores its address and a
//! temporary operator token in the directory, in a file that only its own user can read. If no daemon holds the
//! directory, commands open it and call the API's router in their own process.

use crate::clock::now;
use crate::daemon_file::{self, Reachable};
use crate::data::{self, DataOptions};
use crate::failure::Failure;
use axum::http::{Method, Request};
use dialback::http::{self, Api, Token};
use dialback::store::StoreError;
use dialback::{Role, Service};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

/// The largest answer that is read, in bytes. Answers to these commands are far smaller.
const MAX_ANSWER: usize = 16 << 20;

/// How long a command waits for the daemon. The daemon ends a request after half of this time.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) enum Client {
    /// A daemon holds the data directory: requests go over HTTP.
    Daemon { reachable: Reachable, agent: ureq::Agent },
    /// No daemon holds the data directory: requests go to the router in this process.
    Here { router: axum::Router, runtime: tokio::runtime::Runtime, token: String },
}

impl Client {
    pub(crate) fn open(options: &DataOptions) -> Result<Self, Failure> {
        match data::open(options, options.engine()?) {
            Ok(service) => Self::here(service),
            Err(StoreError::Locked(path)) => Self::daemon(&path),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a client for a command that only reads. Fails if the directory does not exist, so that a mistyped path
    /// creates nothing.
    pub(crate) fn open_existing(options: &DataOptions) -> Result<Self, Failure> {
        if options.data.exists() { Self::open(options) } else { Err(Failure::no_directory(&options.data)) }
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

    /// Sends a request and returns the answer. An error of the API becomes a failure.
    fn ask(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let (status, text) = match self {
            Self::Daemon { reachable, agent } => {
                let request = request(method, &reachable.url, path, &reachable.token, body);
                let answer = agent.run(request).map_err(|error| unreachable_daemon(&reachable.url, &error))?;
                let status = answer.status();
                let text = answer.into_body().read_to_vec();
                (status, text.map_err(|error| unreachable_daemon(&reachable.url, &error))?)
            }
            Self::Here { router, runtime, token } => {
                let request = request(method, "http://localhost", path, token, body).map(axum::body::Body::from);
                runtime.block_on(async {
                    let answer = router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
                    let status = answer.status();
                    let text = axum::body::to_bytes(answer.into_body(), MAX_ANSWER).await;
                    (status, text.unwrap_or_default().to_vec())
                })
            }
        };
        let answer: Value = serde_json::from_slice(&text)
            .map_err(|_| Failure::new(format!("the daemon answered {status} with a body that is not JSON")))?;
        if status.is_success() { Ok(answer) } else { Err(refusal(&answer)) }
    }

    /// Copies the daemon's answer to `out` as it arrives, without a time limit.
    pub(crate) fn stream(data: &Path, path: &str, out: &mut dyn Write) -> Result<(), Failure> {
        let Self::Daemon { reachable, .. } = Self::daemon(data)? else { unreachable!("it is one") };
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        let agent: ureq::Agent =
            config.timeout_connect(Some(TIMEOUT)).timeout_recv_response(Some(TIMEOUT)).build().into();
        let lost = |error: &ureq::Error| unreachable_daemon(&reachable.url, error);
        let request = request(&Method::GET, &reachable.url, path, &reachable.token, None);
        let answer = agent.run(request).map_err(|error| lost(&error))?;
        if !answer.status().is_success() {
            let text = answer.into_body().read_to_vec().map_err(|error| lost(&error))?;
            return Err(refusal(&serde_json::from_slice(&text).unwrap_or_default()));
        }
        let copied = std::io::copy(&mut answer.into_body().into_reader(), out);
        copied.map(|_| ()).map_err(|error| Failure::new(format!("the export was cut short: {error}")))
    }

    fn here(service: Service) -> Result<Self, Failure> {
        let token = Token::issue(Role::Operator);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(format!("cannot start the async runtime: {error}")))?;
        let router = http::router(Api::new(Arc::new(service), Arc::new(now)).with_operator(token.digest));
        Ok(Self::Here { router, runtime, token: token.secret })
    }

    fn daemon(data: &Path) -> Result<Self, Failure> {
        let path = daemon_file::path(data);
        let reachable = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let reachable = reachable.ok_or_else(|| {
            let locked = Failure::from(StoreError::Locked(data.to_owned()));
            locked.and(&format!("and {} cannot be read: run the command as the daemon's user", path.display()))
        })?;
        // The daemon runs on this machine, and a request with an operator token must not go through a proxy.
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        let agent = config.timeout_global(Some(TIMEOUT)).build().into();
        Ok(Self::Daemon { reachable, agent })
    }
}

fn request(method: &Method, base: &str, path: &str, token: &str, body: Option<&Value>) -> Request<Vec<u8>> {
    Request::builder()
        .method(method)
        .uri(format!("{base}/api/v1{path}"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(body.map(|body| body.to_string().into_bytes()).unwrap_or_default())
        .expect("the paths of the commands are valid")
}

fn unreachable_daemon(url: &str, error: &ureq::Error) -> Failure {
    Failure::new(format!("the daemon at {url} holds the data directory and does not answer: {error}"))
}

/// Converts an error of the API: its message and its field errors.
fn refusal(answer: &Value) -> Failure {
    let message = answer["message"].as_str().unwrap_or("the request was rejected without a message").to_owned();
    let fields = answer["errors"].as_object().into_iter().flatten().map(|(field, texts)| {
        let texts: Vec<_> = texts.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        format!("  {field}: {}", texts.join(" "))
    });
    Failure::new(std::iter::once(message).chain(fields).collect::<Vec<_>>().join("\n"))
}

/// Percent-encodes a value for a path or query (RFC 3986, section 2.3 lists the unreserved characters).
pub(crate) fn escape(text: &str) -> String {
    let escaped = text.bytes().map(|byte| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    escaped.collect()
}
