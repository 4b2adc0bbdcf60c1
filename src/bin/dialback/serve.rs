//! `dialback serve`: the daemon.

use crate::client::DaemonFile;
use crate::data::DataOptions;
use crate::failure::Failure;
use crate::{data, now};
use dialback::Role;
use dialback::http::{self, Api, Token};
use dialback::store::Durability;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{info, warn};

/// How long the requests that have begun may take once the daemon is asked to stop: below the patience of what supervises
/// daemons. A client that never finishes its request must not keep one from ending.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct ServeOptions {
    /// The address to listen on; port 0 takes any free one and says which
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// What an acknowledgement means. synced: on the disk, nothing is ever lost. buffered: with the operating system; a
    /// killed daemon loses nothing, a power failure up to about the last second. memory: nowhere; all since the start is
    /// lost when the daemon ends
    #[arg(long, value_name = "DURABILITY", env = "DIALBACK_DURABILITY", default_value_t = Durability::Synced)]
    #[arg(value_parser = durability)]
    durability: Durability,
    #[command(flatten)]
    data: DataOptions,
}

pub(crate) fn run(options: &ServeOptions) -> Result<ExitCode, Failure> {
    let service = data::open_as(&options.data, options.durability)?;
    if options.durability != Durability::Synced {
        warn!(durability = %options.durability, "what is acknowledged can be lost");
    }
    if service.plan().tokens().next().is_none() {
        warn!("there is no token yet: make one with `dialback token create`");
    }
    let operator = Token::issue(Role::Operator);
    // Held until the daemon's file is gone: who takes the directory over puts one of its own there.
    let service = Arc::new(service);
    let api = Api::new(Arc::clone(&service), Arc::new(now)).with_operator(operator.digest);
    runtime()?.block_on(async {
        let stop = Stop::listen()?;
        let (listener, url) = listen(options.listen).await?;
        let _file = DaemonFile::write(&options.data.data, url, &operator.secret)?;
        serve(listener, api, stop).await
    })
}

fn durability(name: &str) -> Result<Durability, String> {
    Durability::from_name(name).ok_or_else(|| "synced, buffered or memory".into())
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(format!("no runtime: {error}")))
}

/// A listener and the URL under which it is reached from this machine.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, String), Failure> {
    let bound = TcpListener::bind(address).await.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (mut local, listener) = bound.map_err(|error| Failure::new(format!("cannot listen on {address}: {error}")))?;
    if local.ip().is_unspecified() {
        local.set_ip(if local.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    Ok((listener, format!("http://{local}")))
}

/// Serves until SIGINT or SIGTERM, then finishes the requests it has and commits what they handed in. Does not wait for them
/// longer than a while, nor past a second signal.
pub(crate) async fn serve(listener: TcpListener, api: Api, mut stop: Stop) -> Result<ExitCode, Failure> {
    let address = listener.local_addr().map_err(|error| Failure::new(error.to_string()))?;
    info!(%address, "serving");
    let (asked, stopping) = oneshot::channel();
    let asked_to_stop = async {
        stop.asked().await;
        info!("stopping: finishing what has begun");
        // Nobody listens where the server has failed.
        let _ = asked.send(stop);
    };
    let server = axum::serve(listener, http::router(api)).with_graceful_shutdown(asked_to_stop);
    tokio::select! {
        ended = server.into_future() => ended.map_err(|error| Failure::new(format!("serving failed: {error}")))?,
        () = waited_enough(stopping) => warn!("not everything that had begun was finished"),
    }
    info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Until the grace is over, or a second signal comes.
async fn waited_enough(stopping: oneshot::Receiver<Stop>) {
    let Ok(mut stop) = stopping.await else { return std::future::pending().await };
    tokio::select! {
        () = tokio::time::sleep(GRACE) => {}
        () = stop.asked() => {}
    }
}

/// The signals that ask the daemon to stop.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// To be called before anybody is told of the daemon: from here on a signal ends it in order.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::new(format!("no signals: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
