//! The certificate of a listener.

use arc_swap::ArcSwap;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// A certificate with its key. All clones share it, and a reload replaces it for the connections that follow.
#[derive(Clone)]
pub(crate) struct Certificate(Arc<ArcSwap<ServerConfig>>);

impl Certificate {
    pub(crate) fn new(config: ServerConfig) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }

    /// Returns what accepts a new connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.load_full())
    }

    /// Takes over another certificate. Connections that exist keep theirs.
    pub(crate) fn replace(&self, other: &Self) {
        self.0.store(other.0.load_full());
    }
}
