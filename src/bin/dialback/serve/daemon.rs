//! `dialback serve`: the daemon.

use super::addresses::AddressOptions;
use super::agi::AgiOptions;
use super::budgets::Budgets;
use super::connections::{self, Listener};
use super::fleet::FleetOptions;
use super::limits::{ConnectionLimits, LimitOptions};
use super::runtimes::Runtimes;
use super::sip::SipOptions;
use super::tls::TlsOptions;
use super::{address_space, descriptors, retention, stall};
use crate::clock::now;
use crate::daemon_file::DaemonFile;
use crate::data::DataOptions;
use crate::failure::Failure;
use crate::{data, out, supervisor};
use dialback::http::{self, Api, Token};
use dialback::metrics::UpkeepCounts;
use dialback::store::{Durability, FjallStore};
use dialback::{Role, Service};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

/// How long requests in progress may take after the daemon was asked to stop. It is shorter than the timeout of common
/// supervisors, so a client that never finishes its request cannot prevent the stop.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct ServeOptions {
    /// The address to listen on. Port 0 selects a free port, which is logged
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// How durable an acknowledged change is. synced: on the disk; nothing is lost. buffered: with the operating
    /// system; a killed daemon loses nothing, a power failure up to about the last second. memory: in the daemon only;
    /// all changes since the start are lost when the daemon ends
    #[arg(long, value_name = "DURABILITY", env = "DIALBACK_DURABILITY", default_value_t = Durability::Synced)]
    #[arg(value_parser = durability)]
    durability: Durability,
    /// Serve /metrics, and also /health, on a separate address without TLS, and /metrics on no other address. /metrics
    /// needs no token, and shows the sums of all tenants
    #[arg(long, value_name = "ADDRESS:PORT", env = "DIALBACK_METRICS_LISTEN")]
    metrics_listen: Option<SocketAddr>,
    /// Check the options, the certificate and the data directory, print whether the daemon could start, and exit.
    /// Changes nothing, and works while a daemon runs
    #[arg(long)]
    check_config: bool,
    /// Answer routes while the stored data is still being loaded, from the part that is loaded. A call by a contact
    /// that is not loaded yet goes to the default agent. Without this option, routes are rejected with 503 until
    /// loading is complete
    #[arg(long, env = "DIALBACK_SERVE_WHILE_LOADING")]
    serve_while_loading: bool,
    /// How often erased data, and data older than the longest look-back, is removed from the files of the data
    /// directory. An erased number disappears from all files within this time plus the time to rewrite them
    #[arg(long, value_name = "SPAN", env = "DIALBACK_PURGE_EVERY", default_value = "24h", value_parser = retention::span)]
    purge_every: Duration,
    #[command(flatten)]
    addresses: AddressOptions,
    #[command(flatten)]
    tls: TlsOptions,
    #[command(flatten)]
    sip: SipOptions,
    #[command(flatten)]
    agi: AgiOptions,
    #[command(flatten)]
    fleet: FleetOptions,
    #[command(flatten)]
    limits: LimitOptions,
    #[command(flatten)]
    data: DataOptions,
}

pub(crate) fn run(options: &ServeOptions) -> Result<ExitCode, Failure> {
    let tls = options.tls.acceptor()?;
    let addresses = options.addresses.read()?;
    let sip = options.sip.settings(options.serve_while_loading, &addresses)?;
    options.fleet.check()?;
    let budgets = options.limits.budgets().with_metrics(options.metrics_listen.is_some()).with_side(tls.is_some());
    let budgets = descriptors::share_out(options.agi.budget(options.sip.budget(budgets)))?;
    address_space::check(options.data.max_pairs)?;
    if options.check_config {
        return check_directory(&options.data);
    }
    let runtimes = Runtimes::start()?;
    let store = data::open_store(&options.data.data)?.with_durability(options.durability);
    if options.durability != Durability::Synced {
        warn!(durability = %options.durability, "acknowledged changes can be lost: `--durability` is not `synced`");
    }
    let (upkeep, upkeep_counts) = (store.upkeep(), Arc::<UpkeepCounts>::default());
    let (loaded, is_loaded) = oneshot::channel();
    let tell = |recovered| {
        // The receiver is gone if the daemon was stopped meanwhile.
        let _ = loaded.send(recovered);
    };
    let fleet = options.fleet.join()?;
    let engine = options.data.engine()?;
    let service =
        Service::builder(store).engine(engine).sequencer(fleet.sequencer()).progress(data::report).load(tell)?;
    let operator = Token::issue(Role::Operator);
    // This holds the directory until the daemon file is removed. Otherwise the next daemon's file could be removed.
    let service = Arc::new(service);
    stall::watch(&service)?;
    let _node = fleet.start(&service)?;
    let api = options.limits.bound(Api::new(Arc::clone(&service), Arc::new(now))).with_operator(operator.digest);
    let api = api.serving_while_loading(options.serve_while_loading).with_addresses(addresses.clone());
    let api = api.with_upkeep(Arc::clone(&upkeep_counts));
    let api = api.with_workers(runtimes.work.handle().clone());
    let limits = options.limits.of_connections();
    runtimes.routes.block_on(async {
        let stop = Stop::listen()?;
        let mut listeners = Vec::new();
        let mut api = api;
        // Both listeners run until these values are dropped.
        let _agi = options.agi.open(&service, &addresses, options.serve_while_loading, budgets.of(budgets.agi)).await?;
        let _sip = match sip {
            Some(settings) => {
                let open = options.sip.open(&service, settings, budgets.of(budgets.sip)).await?;
                api = api.with_sip(open.counts());
                Some(open)
            }
            None => None,
        };
        if let Some(address) = options.metrics_listen {
            let (listener, _) = listen(address).await?;
            let budget = budgets.of(budgets.metrics);
            listeners.push(Listener { socket: listener, tls: None, router: http::operations(api.clone()), budget });
            api = api.with_metrics_elsewhere();
        }
        let (side_url, url) = open_api(options.listen, tls, api, budgets, &mut listeners).await?;
        let ready = async {
            is_loaded.await.map_err(|_| Failure::new("the loading thread ended without a result"))??;
            if service.plan().tokens().next().is_none() {
                warn!("there is no token yet: create one with `dialback token create`");
            }
            // With `memory`, the directory is never written.
            if options.durability != Durability::Memory {
                retention::start(upkeep, &service, upkeep_counts, options.data.data.clone(), options.purge_every)?;
            }
            // The file contains an operator token, with which commands can send any request.
            let file = DaemonFile::write(&options.data.data, &side_url, &url, &operator.secret)?;
            supervisor::ready();
            Ok::<_, Failure>(file)
        };
        let serving = serve(listeners, limits, stop);
        tokio::pin!(serving);
        let _file = tokio::select! {
            ended = &mut serving => return ended,
            file = ready => file?,
        };
        serving.await
    })
}

/// Opens the listeners of the control API. Returns the URL for commands on this machine, and the URL for all other
/// clients.
async fn open_api(
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    api: Api,
    budgets: Budgets,
    listeners: &mut Vec<Listener>,
) -> Result<(String, String), Failure> {
    let (listener, url) = listen(address).await?;
    let budget = budgets.of(budgets.front);
    if tls.is_none() {
        listeners.push(Listener { socket: listener, tls, router: http::router(api), budget });
        return Ok((url.clone(), url));
    }
    // With TLS, commands would have to know the certificate's name and authority. They use a listener on loopback
    // instead. The temporary operator token is valid on that listener only.
    let (side, side_url) = listen(([127, 0, 0, 1], 0).into()).await?;
    listeners.push(Listener { socket: listener, tls, router: http::router(api.clone().without_operator()), budget });
    let budget = budgets.of(budgets.side);
    listeners.push(Listener { socket: side, tls: None, router: http::router(api), budget });
    Ok((side_url, url.replacen("http:", "https:", 1)))
}

fn check_directory(options: &DataOptions) -> Result<ExitCode, Failure> {
    let path = options.data.display();
    if FjallStore::look(&options.data)? {
        out::line(format_args!("the configuration is valid; {path} is a data directory"))?;
    } else {
        out::line(format_args!("the configuration is valid; {path} would be created as a data directory"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn durability(name: &str) -> Result<Durability, String> {
    name.parse().map_err(|_| "use synced, buffered or memory".into())
}

/// Opens a listener. Returns it with the URL by which this machine reaches it.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, String), Failure> {
    let bound = TcpListener::bind(address).await.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (mut local, listener) = bound.map_err(|error| Failure::new(format!("cannot listen on {address}: {error}")))?;
    if local.ip().is_unspecified() {
        local.set_ip(if local.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    Ok((listener, format!("http://{local}")))
}

/// Serves until SIGINT or SIGTERM. Then finishes the requests in progress and commits their changes. Stops waiting for
/// them after a grace period, or at a second signal.
pub(crate) async fn serve(
    listeners: Vec<Listener>,
    limits: ConnectionLimits,
    mut stop: Stop,
) -> Result<ExitCode, Failure> {
    for entry in &listeners {
        let address = entry.socket.local_addr().map_err(|error| Failure::new(error.to_string()))?;
        info!(%address, tls = entry.tls.is_some(), "serving");
    }
    let (asked, stopping) = oneshot::channel();
    let asked_to_stop = async {
        stop.asked().await;
        supervisor::stopping();
        info!("stopping: finishing the requests in progress");
        // The receiver is gone if the server has failed.
        let _ = asked.send(stop);
    };
    tokio::select! {
        () = connections::serve(listeners, limits, asked_to_stop) => {}
        () = supervisor::stay_alive() => {}
        () = waited_enough(stopping) => warn!("stopped before all requests in progress were finished"),
    }
    info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Waits until the grace period is over or a second signal comes.
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
    /// Starts to listen for signals. Call it before any client or supervisor learns of the daemon, so that a signal
    /// stops it in order.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::new(format!("cannot listen for signals: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
