//! The sockets of all listeners.
//!
//! They are opened before the data directory, so that a port that is in use leaves nothing behind.

use super::agi::AgiOptions;
use super::sip::SipOptions;
use crate::failure::Failure;
use dialback::agi::AgiListener;
use dialback::sip::SipListener;
use std::net::{Ipv6Addr, SocketAddr};
use tokio::net::TcpListener;

/// A socket that accepts connections, and the URL by which this machine reaches it.
pub(crate) struct Socket {
    pub(crate) listener: TcpListener,
    pub(crate) url: String,
}

/// The addresses to listen on, besides those of SIP and FastAGI.
pub(crate) struct Addresses {
    pub(crate) control: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
    /// Whether the control API uses TLS, so that the commands of this machine need a socket of their own.
    pub(crate) has_tls: bool,
}

/// The sockets of a daemon.
pub(crate) struct Sockets {
    pub(crate) control: Socket,
    /// For the commands of this machine. With TLS, they would have to know the certificate's name and authority.
    pub(crate) side: Option<Socket>,
    pub(crate) metrics: Option<Socket>,
    pub(crate) sip: Vec<SipListener>,
    pub(crate) agi: Option<AgiListener>,
}

impl Sockets {
    pub(crate) async fn open(addresses: Addresses, sip: &SipOptions, agi: &AgiOptions) -> Result<Self, Failure> {
        let on_loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Ok(Self {
            control: Socket::open(addresses.control).await?,
            side: if addresses.has_tls { Some(Socket::open(on_loopback).await?) } else { None },
            metrics: match addresses.metrics {
                Some(address) => Some(Socket::open(address).await?),
                None => None,
            },
            sip: sip.bind().await?,
            agi: agi.bind().await?,
        })
    }

    pub(crate) fn urls(&self) -> Urls {
        match &self.side {
            None => Urls { commands: self.control.url.clone(), clients: self.control.url.clone() },
            Some(side) => Urls { commands: side.url.clone(), clients: self.control.url.replacen("http:", "https:", 1) },
        }
    }
}

/// The URLs of the control API.
pub(crate) struct Urls {
    /// For commands on this machine.
    pub(crate) commands: String,
    /// For all other clients.
    pub(crate) clients: String,
}

impl Socket {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let bound = TcpListener::bind(address).await.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (mut local, listener) =
            bound.map_err(|error| Failure::new(format!("cannot listen on {address}: {error}")))?;
        if local.ip().is_unspecified() {
            local.set_ip(if local.is_ipv4() { [127, 0, 0, 1].into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        Ok(Self { listener, url: format!("http://{local}") })
    }
}
