//! The NATS servers of a fleet under test: one server, or a cluster.

use crate::support::cluster::{Cluster, SERVERS};
use crate::support::copy::replace;
use crate::support::ledger::Random;
use crate::support::nats::NatsServer;
use std::fs;
use std::path::Path;
use std::time::Duration;

pub(crate) enum Servers {
    One(NatsServer),
    Cluster(Box<Cluster>),
}

impl Servers {
    pub(crate) fn start(is_cluster: bool) -> Self {
        if is_cluster { Self::Cluster(Box::new(Cluster::start())) } else { Self::One(NatsServer::start()) }
    }

    /// Returns the options of a node.
    pub(crate) fn arguments(&self) -> Vec<String> {
        match self {
            Self::One(server) => vec!["--fleet-nats".into(), server.url()],
            Self::Cluster(cluster) => cluster.arguments(),
        }
    }

    /// Kills all servers.
    pub(crate) fn kill(&mut self) {
        match self {
            Self::One(server) => server.kill(),
            Self::Cluster(cluster) => (0..SERVERS).for_each(|which| cluster.kill(which)),
        }
    }

    /// Kills the server, or one of the cluster: the leader of the stream every other time.
    pub(crate) fn kill_one(&mut self, random: &mut Random) {
        match self {
            Self::One(server) => server.kill(),
            Self::Cluster(cluster) => {
                let which = if random.below(2) == 0 { cluster.leader() } else { random.below(SERVERS) };
                cluster.kill(which);
            }
        }
    }

    /// Starts all servers that do not run, with their data.
    pub(crate) fn restart(&mut self) {
        match self {
            Self::One(server) => server.restart(),
            Self::Cluster(cluster) => cluster.restart_killed(),
        }
    }

    /// Stops the server, or one of the cluster, until [`go_on`](Self::go_on).
    pub(crate) fn stop_one(&mut self, random: &mut Random) -> usize {
        let which = random.below(SERVERS);
        self.signal(which, "-STOP");
        which
    }

    pub(crate) fn go_on(&mut self, which: usize) {
        self.signal(which, "-CONT");
    }

    fn signal(&self, which: usize, name: &str) {
        match self {
            Self::One(server) => server.signal(name),
            Self::Cluster(cluster) => cluster.signal(which, name),
        }
    }

    /// Copies the data of killed servers.
    pub(crate) fn back_up(&self, to: &Path) {
        match self {
            Self::One(server) => replace(&server.store(), to),
            Self::Cluster(cluster) => (0..SERVERS).for_each(|which| {
                let to = to.join(which.to_string());
                fs::create_dir_all(&to).expect("a directory");
                replace(&cluster.store(which), &to);
            }),
        }
    }

    /// Replaces the data of killed servers by a copy.
    pub(crate) fn set_back(&self, from: &Path) {
        match self {
            Self::One(server) => replace(from, &server.store()),
            Self::Cluster(cluster) => {
                (0..SERVERS).for_each(|which| replace(&from.join(which.to_string()), &cluster.store(which)));
            }
        }
    }

    /// Returns how long the servers may take to elect leaders after all of them have started.
    pub(crate) fn election(&self) -> Duration {
        match self {
            Self::One(_) => Duration::ZERO,
            Self::Cluster(_) => Duration::from_secs(12),
        }
    }
}
