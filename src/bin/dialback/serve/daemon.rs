//! `dialback serve`: the daemon.

use super::connections::{self, Listener};
use super::limits::ConnectionLimits;
use super::options::{Checked, ServeOptions};
use super::origins::Origins;
use super::reload::{self, Reload};
use super::runtimes::Runtimes;
use super::sockets::{Addresses, Socket, Sockets};
use super::started::Started;
use super::{retention, sip, stall};
use crate::clock::now;
use crate::daemon_file::DaemonFile;
use crate::failure::Failure;
use crate::{data, supervisor};
use dialback::http::{self, Api, Token};
use dialback::metrics::UpkeepCounts;
use dialback::store::{Durability, FjallStore};
use dialback::{CallReads, Role, Service};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tracing::{info, warn};

/// How long requests in progress may take after the daemon was asked to stop. It is shorter than the timeout of common
/// supervisors, so a client that never finishes its request cannot prevent the stop.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) fn run(options: &ServeOptions, started: Started) -> Result<ExitCode, Failure> {
    let checked = options.check()?;
    if options.check_config {
        return options.report(&started.settings, started.json);
    }
    // An unusable directory is named even if a port is in use: a restart would not help.
    FjallStore::look(&options.data.data)?;
    let runtimes = Runtimes::start()?;
    let addresses =
        Addresses { control: options.listen, metrics: options.metrics_listen, has_tls: checked.certificate.is_some() };
    let sockets = runtimes.routes.block_on(Sockets::open(addresses, &options.sip, &options.agi))?;
    let fleet = options.fleet.join(&started.settings)?;
    let (reload, hangups) = Reload::new(started, &checked);
    runtimes.routes.block_on(async { reload::at_hangup(Arc::clone(&reload), hangups) })?;

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
    let engine = options.data.engine()?;
    let builder = Service::builder(store).engine(engine).sequencer(fleet.sequencer()).records(options.records());
    let builder = builder.feed(options.feed());
    let service = builder.progress(data::report).load(tell)?;
    // This holds the directory until the daemon file is removed. Otherwise the next daemon's file could be removed.
    let service = Arc::new(service);
    stall::watch(&service)?;
    let _node = fleet.start(&service)?;
    let operator = Token::issue(Role::Operator);
    let api = options.limits.bound(Api::new(Arc::clone(&service), Arc::new(now))).with_operator(operator.digest);
    let api = api.serving_while_loading(options.serve_while_loading).with_addresses(checked.addresses.clone());
    let api = api.with_upkeep(Arc::clone(&upkeep_counts)).with_workers(runtimes.work.handle().clone());
    let api = api.with_reload(Arc::new(move || reload.run_and_log()));
    let api = options.webhooks.send_for(api, runtimes.work.handle())?;
    let urls = sockets.urls();
    runtimes.routes.block_on(async {
        let stop = Stop::listen()?;
        // The doors are open until this is dropped.
        let webhooks = api.clone();
        let (_doors, listeners) = open(options, checked, sockets, &service, api)?;
        let ready = async {
            is_loaded.await.map_err(|_| Failure::new("the loading thread ended without a result"))??;
            if service.plan().tokens().next().is_none() {
                warn!("there is no token yet: create one with `dialback token create`");
            }
            // With `memory`, the directory is never written.
            if options.durability != Durability::Memory {
                retention::start(upkeep, &service, upkeep_counts, options.data.data.clone(), options.purge_every)?;
            }
            webhooks.start_webhooks()?;
            // The file contains an operator token, with which commands can send any request.
            let file = DaemonFile::write(&options.data.data, &urls.commands, &urls.clients, &operator.secret)?;
            supervisor::ready();
            Ok::<_, Failure>(file)
        };
        let serving = serve(listeners, options.limits.of_connections(), stop, || webhooks.begin_stop());
        tokio::pin!(serving);
        let ended = tokio::select! {
            ended = &mut serving => ended,
            file = ready => match file {
                Ok(_file) => serving.await,
                Err(failure) => Err(failure),
            },
        };
        webhooks.stop_webhooks().await;
        ended
    })
}

/// The doors of gateways. They are open until this is dropped.
struct Doors {
    _sip: Option<sip::Open>,
    _agi: Option<watch::Sender<()>>,
}

/// Opens the doors, and returns them with the listeners of the control API.
fn open(
    options: &ServeOptions,
    checked: Checked,
    sockets: Sockets,
    service: &Arc<Service>,
    mut api: Api,
) -> Result<(Doors, Vec<Listener>), Failure> {
    let Checked { certificate, addresses, sip, budgets } = checked;
    // The doors share a disk.
    let reads = Arc::new(CallReads::default());
    api = api.with_call_reads(Arc::clone(&reads));
    let (loading, agi) = (options.serve_while_loading, budgets.of(budgets.agi));
    let serve_agi = |listener| options.agi.serve(listener, service, &addresses, loading, &reads, agi);
    let agi = sockets.agi.map(serve_agi).transpose()?;
    let sip = match sip {
        Some(settings) => {
            let open = sip::serve(sockets.sip, service, settings, &reads, budgets.of(budgets.sip))?;
            api = api.with_sip(open.counts());
            Some(open)
        }
        None => None,
    };
    let mut listeners = Vec::new();
    let mut listen = |socket: Socket, tls, router, connections, origins| {
        listeners.push(Listener { socket: socket.listener, tls, router, budget: budgets.of(connections), origins });
    };
    let (cors, no_pages) = (options.cors.origins(), Origins::default());
    if let Some(socket) = sockets.metrics {
        listen(socket, None, http::operations(api.clone()), budgets.metrics, no_pages.clone());
        api = api.with_metrics_elsewhere();
    }
    match sockets.side {
        // The temporary operator token is valid on the listener on loopback only.
        Some(side) => {
            let router = options.cors.around(http::router(api.clone().without_operator()));
            listen(sockets.control, certificate, router, budgets.front, cors);
            listen(side, None, http::router(api), budgets.side, no_pages);
        }
        None => listen(sockets.control, certificate, options.cors.around(http::router(api)), budgets.front, cors),
    }
    Ok((Doors { _sip: sip, _agi: agi }, listeners))
}

/// Serves until SIGINT or SIGTERM. Then finishes the requests in progress and commits their changes. Stops waiting for
/// them after a grace period, or at a second signal.
pub(crate) async fn serve(
    listeners: Vec<Listener>,
    limits: ConnectionLimits,
    mut stop: Stop,
    begun: impl FnOnce(),
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
        begun();
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
