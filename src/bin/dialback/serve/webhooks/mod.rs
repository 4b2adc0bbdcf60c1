//! Sends the messages of webhooks over HTTP.
//!
//! A tenant chooses the address, so the sender protects the operator's network and the daemon: it connects to public addresses
//! only, follows no redirect, uses no proxy, and limits the time and the size of an answer. It checks the address that it connects
//! to, after the name was resolved: a name that resolves to another address later gains nothing.

mod address;
mod connections;
mod names;

use super::descriptors;
use crate::failure::Failure;
use address::Allowed;
use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use connections::{Connection, Connections, Host, NoAnswer};
use dialback::EnvironmentId;
use dialback::http::{Api, Message, Sender, Sent};
use hyper::body::{Body as _, Incoming};
use hyper::{Request, Response};
use ipnet::IpNet;
use names::{Answer, Names};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::Url;

/// The time limit of a message, from the resolution of the name to the end of the answer. The specification recommends 15 to 30
/// seconds.
const WITHIN: Duration = Duration::from_secs(15);
/// How many bytes of an answer are read, so that its connection can be used again. The content is ignored.
const ANSWER: usize = 64 << 10;
/// The time limit for the rest of an answer after its status.
const REST: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct WebhookOptions {
    /// Let webhooks send to these addresses too, such as `10.0.0.0/8`: without TLS as well as with it. May be given more than
    /// once. Without it, webhooks send to public addresses with TLS only
    #[arg(long, value_name = "CIDR", env = "DIALBACK_WEBHOOK_ALLOW", value_delimiter = ',', value_parser = network)]
    webhook_allow: Vec<IpNet>,
}

fn network(text: &str) -> Result<IpNet, String> {
    let whole = || text.parse::<IpAddr>().map(IpNet::from).ok();
    text.parse().ok().or_else(whole).ok_or_else(|| "write a network such as 10.0.0.0/8 or fd00::/8".into())
}

impl WebhookOptions {
    /// Returns the API with a sender of webhooks, whose tasks are on this runtime.
    ///
    /// # Errors
    /// The system has too few threads.
    pub(super) fn send_for(&self, api: Api, runtime: &Handle) -> Result<Api, Failure> {
        let most = descriptors::of_webhooks();
        let names = Names::new().map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
        let inner = Inner {
            allowed: Allowed::new(self.webhook_allow.clone()),
            names,
            connections: Arc::new(Connections::new(tls(), most)),
        };
        Ok(api.with_webhooks(Arc::new(HttpSender { inner: Arc::new(inner), most }), runtime.clone()))
    }
}

fn tls() -> ClientConfig {
    // Where the system trusts no authority, each message fails, and its attempts say so.
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the usual versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Sends messages over HTTP.
pub(crate) struct HttpSender {
    inner: Arc<Inner>,
    most: usize,
}

struct Inner {
    allowed: Allowed,
    names: Names,
    connections: Arc<Connections>,
}

/// Why a message was not sent.
enum Wrong {
    Failed(&'static str),
    Busy,
}

impl From<&'static str> for Wrong {
    fn from(why: &'static str) -> Self {
        Self::Failed(why)
    }
}

/// Where a message goes.
struct Target {
    host: Host,
    /// The address, if the host is one and not a name.
    address: Option<IpAddr>,
    /// The header field `Host`, and the path with the query.
    authority: String,
    path: String,
}

impl Inner {
    /// Reads an address. An error is the end of the sentence "The url field …".
    fn target(&self, text: &str) -> Result<Target, &'static str> {
        let url = Url::parse(text).map_err(|_| "must be an address such as https://example.com/dialback")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not have a user name or a password");
        }
        if url.fragment().is_some() {
            return Err("must not have a fragment");
        }
        let is_secured = match url.scheme() {
            "https" => true,
            "http" if !self.allowed.is_empty() => false,
            _ => return Err("must begin with https://"),
        };
        let (address, name) = match url.host().ok_or("must have a host")? {
            url::Host::Domain(name) => (None, name.to_owned()),
            url::Host::Ipv4(address) => (Some(address.into()), address.to_string()),
            url::Host::Ipv6(address) => (Some(address.into()), address.to_string()),
        };
        if address.is_some_and(|address| !self.allowed.accepts(address, is_secured)) {
            return Err("must have a public host, or one that the operator allows with --webhook-allow");
        }
        let port = url.port_or_known_default().ok_or("must have a port")?;
        let host = url.host_str().unwrap_or_default();
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        Ok(Target { host: Host { is_secured, name, port }, address, authority, path })
    }

    async fn send(&self, message: &Message) -> Result<u16, Wrong> {
        let target = self.target(&message.url).map_err(|_| Wrong::Failed(NOT_ALLOWED))?;
        if let Some(connection) = self.connections.take(&target.host)
            && let Some(status) = self.send_over(connection, &target, message).await?
        {
            return Ok(status);
        }
        let addresses = self.addresses(message.environment, &target).await?;
        let connection = self.connections.open(target.host.clone(), &addresses).await?;
        let status = self.send_over(connection, &target, message).await?;
        status.ok_or(Wrong::Failed(NO_HTTP))
    }

    /// Returns the addresses of a host that are allowed.
    async fn addresses(&self, owner: EnvironmentId, target: &Target) -> Result<Vec<SocketAddr>, Wrong> {
        let Host { is_secured, name, port } = &target.host;
        let found = match target.address {
            Some(address) => vec![SocketAddr::new(address, *port)],
            None => match self.names.find(owner, name, *port).await {
                Answer::Found(found) => found.to_vec(),
                // Nor does the text tell which names the operator's network knows.
                Answer::None => return Err(Wrong::Failed(NOT_ALLOWED)),
                Answer::Busy => return Err(Wrong::Busy),
            },
        };
        let accepted = found.into_iter().filter(|address| self.allowed.accepts(address.ip(), *is_secured));
        let accepted: Vec<_> = accepted.collect();
        if accepted.is_empty() { Err(Wrong::Failed(NOT_ALLOWED)) } else { Ok(accepted) }
    }

    /// Sends a message over a connection, and returns the status of the answer. `None` if the connection was closed before.
    async fn send_over(
        &self,
        mut connection: Connection,
        target: &Target,
        message: &Message,
    ) -> Result<Option<u16>, &'static str> {
        let request = request(target, message).ok_or("the address is not valid")?;
        let response = match connection.send(request).await {
            Ok(response) => response,
            Err(NoAnswer::Unsent) => return Ok(None),
            Err(NoAnswer::Failed) => return Err(NO_HTTP),
        };
        let status = response.status().as_u16();
        // The status counts, however the answer goes on.
        let rest = async { drain(response).await && connection.is_ready().await };
        if tokio::time::timeout(REST, rest).await == Ok(true) {
            self.connections.keep(connection);
        }
        Ok(Some(status))
    }
}

const NOT_ALLOWED: &str = "the host is not known, or its address is not allowed";
const NO_HTTP: &str = "the answer is not HTTP, or the connection was closed";

fn request(target: &Target, message: &Message) -> Option<Request<Body>> {
    let request = Request::post(target.path.as_str())
        .header(HOST, &target.authority)
        .header(USER_AGENT, concat!("dialback/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json");
    let request = message.headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
    request.body(Body::from(message.body.clone())).ok()
}

/// Reads an answer. Returns whether it ended. One that is too long is left.
async fn drain(response: Response<Incoming>) -> bool {
    let (mut body, mut left) = (response.into_body(), ANSWER);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(frame) = frame else { return false };
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => return false,
        }
    }
    true
}

impl Sender for HttpSender {
    fn check(&self, url: &str) -> Result<(), &'static str> {
        self.inner.target(url).map(|_| ())
    }

    fn most(&self) -> usize {
        self.most
    }

    fn send(&self, message: Message) -> Pin<Box<dyn Future<Output = Sent> + Send>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            match tokio::time::timeout(WITHIN, inner.send(&message)).await {
                Ok(Ok(status)) => Sent::Answered(status),
                Ok(Err(Wrong::Failed(why))) => Sent::Failed(why),
                Ok(Err(Wrong::Busy)) => Sent::Busy,
                Err(_) => Sent::Failed("there was no answer in time"),
            }
        })
    }
}
