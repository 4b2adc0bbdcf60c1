//! The options of a connection to NATS.

use super::error::engine;
use super::login::Login;
use super::server::Syncing;
use super::tls::Certificates;
use crate::fleet::StreamError;
use async_nats::ServerAddr;
use std::time::Duration;

/// How a node reaches the stream. All nodes of a fleet must agree on `stream`, `prefix` and `partitions`.
#[derive(Clone)]
pub struct NatsOptions {
    /// The URLs of the servers, separated by commas: `nats://host:4222`, `tls://user:password@host:4222`.
    ///
    /// A login in them is percent-encoded, and all servers get it. If one URL begins with `tls:`, all connections must
    /// use TLS.
    pub servers: String,
    /// The node's login, if it is not in the URLs.
    pub login: Login,
    /// The files of certificates. If there are any, all connections must use TLS.
    pub certificates: Certificates,
    /// The node's name, as the server shows it.
    pub name: String,
    /// The name of the stream. The bucket of the snapshots has this name, followed by `_SNAPSHOTS`.
    pub stream: String,
    /// The prefix of all subjects.
    pub prefix: String,
    /// The number of partitions, from 1 to 32,768.
    pub partitions: u16,
    /// The servers that keep the stream.
    pub storage: Storage,
    /// How long the server may take for one answer.
    pub patience: Duration,
    /// When the server syncs, as far as it is known.
    pub syncing: Syncing,
}

/// The servers that keep the stream and the bucket of the snapshots. Only the node that creates them uses this, except
/// for the domain.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The `JetStream` domain, if the nodes reach it through servers of another domain.
    pub domain: Option<String>,
    /// The number of servers in a cluster that keep a copy.
    pub replicas: usize,
    /// The cluster that keeps the stream, if the servers form several.
    pub cluster: Option<String>,
    /// The tags that each server that keeps the stream must have.
    pub tags: Vec<String>,
    /// The limit of the stream's size in bytes, and of the bucket's.
    pub max_bytes: Option<u64>,
}

impl NatsOptions {
    /// Returns the options for one stream of 64 partitions, on one server.
    pub fn new(servers: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
            login: Login::None,
            certificates: Certificates::default(),
            name: "dialback".into(),
            stream: "DIALBACK".into(),
            prefix: "dialback".into(),
            partitions: 64,
            storage: Storage { domain: None, replicas: 1, cluster: None, tags: Vec::new(), max_bytes: None },
            patience: Duration::from_secs(5),
            syncing: Syncing::Unknown,
        }
    }

    /// Returns the name of the bucket for snapshots.
    pub(super) fn bucket(&self) -> String {
        format!("{}_SNAPSHOTS", self.stream)
    }

    /// Returns the prefix of the subjects at which the node receives answers. An account can so keep other clients from
    /// reading them.
    pub(super) fn inbox(&self) -> String {
        format!("_INBOX.{}", self.prefix)
    }

    /// Checks the options and reads the files of certificates, without contacting a server.
    ///
    /// # Errors
    /// Returns [`StreamError::Engine`] with the first invalid option.
    pub fn check(&self) -> Result<(), StreamError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_token = |text: &String| !text.is_empty() && !text.contains(|c: char| " .*>\t\r\n".contains(c));
        let storage = &self.storage;
        let wrong = if self.stream.is_empty() || !self.stream.chars().all(is_plain) {
            "invalid stream name: use letters, digits, - and _"
        } else if self.prefix.is_empty()
            || !self.prefix.split('.').all(|part| !part.is_empty() && part.chars().all(is_plain))
        {
            "invalid prefix: use letters, digits, - and _, separated by dots"
        } else if self.partitions == 0 || self.partitions > 1 << 15 {
            "invalid number of partitions: use 1 to 32768"
        } else if !(1..=5).contains(&storage.replicas) {
            "invalid number of replicas: use 1 to 5"
        } else if storage.domain.as_ref().is_some_and(|domain| !is_token(domain)) {
            "invalid domain: it contains no space, dot, * or >"
        } else if storage.max_bytes.is_some_and(|bytes| bytes == 0 || i64::try_from(bytes).is_err()) {
            "invalid size of the stream"
        } else {
            self.certificates.check()?;
            return self.servers().map(drop);
        };
        Err(engine(wrong))
    }

    /// Returns the addresses of the servers, without logins, and the login.
    pub(super) fn servers(&self) -> Result<(Vec<ServerAddr>, Login), StreamError> {
        let mut login = self.login.clone();
        let mut addresses = Vec::new();
        for server in self.servers.split(',') {
            // The parser's error could quote a password.
            let wrong = || engine("invalid server address: use host:port or a URL, and percent-encode its login");
            let address: ServerAddr = server.trim().parse().map_err(|_| wrong())?;
            let own = Login::from_url(&address)?;
            if own != Login::None && login != Login::None && own != login {
                return Err(engine("the servers' URLs and options have different logins: use one"));
            }
            if own != Login::None {
                login = own;
            }
            let mut url = address.into_inner();
            url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| wrong())?;
            addresses.push(ServerAddr::from_url(url).map_err(|_| wrong())?);
        }
        Ok((addresses, login))
    }

    /// Returns whether a connection without TLS is refused.
    pub(super) fn needs_tls(&self, servers: &[ServerAddr]) -> bool {
        !self.certificates.is_empty() || servers.iter().any(ServerAddr::tls_required)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(options: &NatsOptions) -> String {
        options.check().expect_err("refused").to_string()
    }

    #[test]
    fn the_login_is_removed_from_the_addresses() {
        let options = NatsOptions::new("nats://me:secr%40t@one:1, tls://me:secr%40t@two,three:3");
        let (servers, login) = options.servers().expect("valid");
        let shown: Vec<_> = servers.iter().map(ServerAddr::as_url_str).collect();
        assert_eq!(shown, ["nats://one:1", "tls://two", "nats://three:3"]);
        assert_eq!(login, Login::Password { user: "me".into(), password: "secr@t".into() });
        assert!(options.needs_tls(&servers), "one URL demands it");
    }

    #[test]
    fn two_different_logins_are_refused_without_showing_them() {
        let mut options = NatsOptions::new("nats://me:secret@one,nats://me:other@two");
        assert!(refused(&options).contains("different logins"), "{}", refused(&options));
        options.servers = "nats://secret@one".into();
        options.login = Login::Token("another".into());
        let text = refused(&options);
        assert!(text.contains("different logins") && !text.contains("secret"), "{text}");
        options.login = Login::Token("secret".into());
        options.check().expect("the same login twice");
    }

    #[test]
    fn invalid_places_of_the_stream_are_refused() {
        let with = |change: &dyn Fn(&mut Storage)| {
            let mut options = NatsOptions::new("one");
            change(&mut options.storage);
            refused(&options)
        };
        assert!(with(&|storage| storage.domain = Some("a.b".into())).contains("domain"));
        assert!(with(&|storage| storage.domain = Some(String::new())).contains("domain"));
        assert!(with(&|storage| storage.max_bytes = Some(0)).contains("size"));
        assert!(with(&|storage| storage.max_bytes = Some(1 << 63)).contains("size"));
        assert!(with(&|storage| storage.replicas = 0).contains("replicas"));
    }
}
