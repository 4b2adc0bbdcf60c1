//! A daemon's control API over HTTP, with or without TLS.

use super::trust;
use crate::daemon_file::{self, Reachable};
use crate::failure::Failure;
use axum::http::{Method, Request, Response, StatusCode, Uri};
use dialback::EnvironmentId;
use dialback::http::{ACTING_AS, ACTING_FOR};
use dialback::store::StoreError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use ureq::tls::TlsConfig;

/// How long a command waits for the daemon. The daemon ends a request after half of this time.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How long a command waits for another one that holds the data directory, and how often it looks.
const HELD: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The largest answer that is read, in bytes. The longest is the list of all numbers of an environment.
const MAX_ANSWER: u64 = 1 << 30;

/// How often a request is repeated that the daemon rejected for the moment.
const RETRIES: u32 = 30;

/// The environment variable with the token for a daemon that is named by its URL.
const TOKEN: &str = "DIALBACK_TOKEN";

/// A daemon, and the token for it.
#[derive(Clone)]
pub(crate) struct Remote {
    url: String,
    token: String,
    /// The environment for which the daemon's own operator token acts.
    environment: Option<EnvironmentId>,
    /// Whether the requests are those of an import.
    is_import: bool,
    agent: ureq::Agent,
}

/// An answer of the API.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) text: Vec<u8>,
}

impl Answer {
    /// Returns the body of a successful answer. An error of the API becomes a failure.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        if !self.status.is_success() {
            return Err(self.refusal());
        }
        let status = self.status;
        serde_json::from_slice(&self.text).map_err(|_| {
            Failure::new(format!("the daemon answered {status} with a body that is not the expected JSON"))
        })
    }

    /// Returns the API's code of an error.
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.text).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns the first error of the API as one line.
    pub(crate) fn first_error(&self) -> String {
        let body: Value = serde_json::from_slice(&self.text).unwrap_or_default();
        let field = body["errors"].as_object().and_then(|fields| fields.values().next()?.get(0)?.as_str());
        field.or(body["message"].as_str()).unwrap_or_default().to_owned()
    }

    /// Returns the API's message and field errors as a failure.
    pub(crate) fn refusal(&self) -> Failure {
        let answer: Value = serde_json::from_slice(&self.text).unwrap_or_default();
        let unexplained = || format!("the request was rejected with {} and without a message", self.status);
        let message = answer["message"].as_str().map_or_else(unexplained, str::to_owned);
        let fields = answer["errors"].as_object().into_iter().flatten().map(|(field, texts)| {
            let texts: Vec<_> = texts.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            format!("  {field}: {}", texts.join(" "))
        });
        let message = std::iter::once(message).chain(fields).collect::<Vec<_>>().join("\n");
        Failure::refused(self.code(), message)
    }
}

impl Remote {
    /// Returns the daemon that holds the data directory, with its own operator token. `None` if no daemon has written its
    /// file there: another command holds the directory, or a daemon starts or ends.
    fn of_directory(data: &Path) -> Result<Option<Self>, Failure> {
        let path = daemon_file::path(data);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let locked = Failure::from(StoreError::Locked(data.to_owned()));
                let path = path.display();
                return Err(
                    locked.and(&format!("and {path} cannot be read ({error}): run the command as the daemon's user"))
                );
            }
        };
        // A file that is not complete yet is that of a daemon that starts.
        let reachable: Option<Reachable> = serde_json::from_slice(&text).ok();
        Ok(reachable.map(|Reachable { url, token, .. }| Self::new(url, token, TlsConfig::default())))
    }

    /// Opens a data directory, or returns the daemon that holds it. `open` returns `None` if another process holds the
    /// directory. If that is another command, waits a few seconds for it.
    ///
    /// # Errors
    /// The directory cannot be opened, or is held for longer.
    pub(crate) fn or_opened<T, E: From<Failure>>(
        data: &Path,
        mut open: impl FnMut() -> Result<Option<T>, E>,
    ) -> Result<Result<T, Self>, E> {
        let started = Instant::now();
        loop {
            if let Some(opened) = open()? {
                return Ok(Ok(opened));
            }
            if let Some(remote) = Self::of_directory(data)? {
                return Ok(Err(remote));
            }
            if started.elapsed() >= HELD {
                let locked = Failure::from(StoreError::Locked(data.to_owned()));
                return Err(locked.and("another command or a daemon that starts: repeat the command later").into());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Returns the daemon that serves the data directory.
    ///
    /// # Errors
    /// No daemon serves it.
    pub(crate) fn of_running(data: &Path) -> Result<Self, Failure> {
        let none = || Failure::new(format!("{}: no daemon serves this directory, or it still loads", data.display()));
        Self::of_directory(data)?.ok_or_else(none)
    }

    /// Returns the daemon at `url`. The token comes from the file, or from the environment variable. `ca` is the file of
    /// the certificates that are trusted.
    pub(crate) fn at(url: &str, token_file: Option<&Path>, ca: Option<&Path>) -> Result<Self, Failure> {
        let token = match token_file {
            Some(path) => fs::read_to_string(path)
                .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?,
            None => std::env::var(TOKEN).map_err(|_| {
                Failure::new(format!("--url needs a token: set {TOKEN}, or name a file with --token-file"))
            })?,
        };
        let has_tls = url.starts_with("https://");
        if !has_tls && !url.starts_with("http://") {
            return Err(Failure::new("--url must begin with https:// or http://"));
        }
        if !has_tls && ca.is_some() {
            return Err(Failure::usage("--ca is for a --url that begins with https://: http:// has no certificates"));
        }
        let url = url.trim_end_matches('/');
        let url = url.strip_suffix("/api/v1").unwrap_or(url);
        if !is_address(url) {
            return Err(Failure::new("--url is not a valid URL, such as https://dialback.example.com:8080"));
        }
        // A token is a name and characters of base64url (RFC 4648, section 5).
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::new("the token is empty or has a character that no token has"));
        }
        let tls = if has_tls { trust::settings(ca)? } else { TlsConfig::default() };
        Ok(Self::new(url.to_owned(), token.to_owned(), tls))
    }

    fn new(url: String, token: String, tls: TlsConfig) -> Self {
        // A token must not go through a proxy, and a redirect must not lead it elsewhere.
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).max_redirects(0);
        let agent = config.tls_config(tls).timeout_global(Some(TIMEOUT)).build().into();
        Self { url, token, environment: None, is_import: false, agent }
    }

    /// Returns whether the token is an operator's.
    pub(crate) fn is_operator(&self) -> bool {
        self.token.starts_with("oper_")
    }

    /// Returns a client that acts for an environment. Only the daemon's own operator token can.
    pub(crate) fn acting_for(&self, environment: EnvironmentId) -> Self {
        Self { environment: Some(environment), ..self.clone() }
    }

    /// Returns a client whose changes the daemon records as those of an import, if it has the daemon's own operator token.
    pub(crate) fn importing(self) -> Self {
        Self { is_import: true, ..self }
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.try_ask(&Method::GET, path, None)?.read()
    }

    /// Sends a request and returns the answer. An error of the API becomes a failure.
    pub(crate) fn ask(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        self.try_ask(method, path, body)?.read()
    }

    /// Sends a request and returns the answer, or the API's error as an answer.
    pub(crate) fn try_ask(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Answer, Failure> {
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        self.send(method, path, "application/json", &body)
    }

    /// Sends lines of JSON to a path, and returns the answer.
    pub(crate) fn upload(&self, path: &str, lines: &[u8]) -> Result<Answer, Failure> {
        self.send(&Method::POST, path, "application/x-ndjson", lines)
    }

    fn send(&self, method: &Method, path: &str, kind: &str, body: &[u8]) -> Result<Answer, Failure> {
        let mut repeated = 0;
        loop {
            let answer = self.agent.run(self.request(method, path, kind, body)).map_err(|error| self.lost(&error))?;
            let wait = answer.headers().get("retry-after").and_then(|text| text.to_str().ok()?.parse().ok());
            match wait {
                Some(seconds) if repeated < RETRIES => {
                    repeated += 1;
                    std::thread::sleep(Duration::from_secs(seconds).min(TIMEOUT));
                }
                _ => return self.read(answer),
            }
        }
    }

    fn read(&self, answer: Response<ureq::Body>) -> Result<Answer, Failure> {
        let status = answer.status();
        if status.is_redirection() {
            return Err(self.redirected(status));
        }
        let text = answer.into_body().into_with_config().limit(MAX_ANSWER).read_to_vec();
        Ok(Answer { status, text: text.map_err(|error| self.lost(&error))? })
    }

    fn request<'a>(&self, method: &Method, path: &str, kind: &str, body: &'a [u8]) -> Request<&'a [u8]> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v1{path}", self.url))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", kind);
        let request = match self.environment {
            Some(environment) => request.header(ACTING_FOR, environment.to_string()),
            None => request,
        };
        let request = if self.is_import { request.header(ACTING_AS, "import") } else { request };
        request.body(body).expect("the paths of the commands are valid")
    }

    /// Copies the daemon's answer to `out` as it arrives, without a time limit.
    pub(crate) fn stream(&self, path: &str, out: &mut dyn Write) -> Result<(), Failure> {
        let request = self.agent.configure_request(self.request(&Method::GET, path, "application/json", &[]));
        let request = request.timeout_global(None).timeout_connect(Some(TIMEOUT)).timeout_recv_response(Some(TIMEOUT));
        let answer = self.agent.run(request.build()).map_err(|error| self.lost(&error))?;
        if !answer.status().is_success() {
            return Err(self.read(answer)?.refusal());
        }
        let copied = std::io::copy(&mut answer.into_body().into_reader(), out);
        copied.map(|_| ()).map_err(|error| Failure::new(format!("the export was cut short: {error}")))
    }

    fn lost(&self, error: &ureq::Error) -> Failure {
        let url = &self.url;
        let is_other = matches!(error, ureq::Error::Protocol(_)) && url.starts_with("http://");
        Failure::new(match trust::rejection(error) {
            Some(why) => format!("the daemon at {url} is not trusted: {why}"),
            None if is_other => format!("what listens at {url} does not speak HTTP: if it has TLS, write https://"),
            None => format!("the daemon at {url} does not answer: {error}"),
        })
    }

    fn redirected(&self, status: StatusCode) -> Failure {
        Failure::new(format!(
            "the daemon at {} answered with a redirect ({status}), which commands do not follow: correct --url",
            self.url
        ))
    }
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

/// Returns whether a URL has a host, at most a port and a path, and nothing else. A login in it would be shown by errors.
fn is_address(url: &str) -> bool {
    let is_plain = |url: Uri| {
        url.authority().is_some_and(|authority| {
            let host = authority.host();
            !host.is_empty() && (authority.as_str() == host || authority.port_u16().is_some())
        })
    };
    !url.contains(['@', '?', '#']) && format!("{url}/api/v1").parse().is_ok_and(is_plain)
}
