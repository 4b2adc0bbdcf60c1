//! NATS as the stream of a fleet, tested against a real server: conformance, unreachable and killed servers, and
//! streams that are not this fleet's.

mod away;
mod daemon;
mod foreign;
#[cfg(feature = "__testing")]
mod full;
mod keys;
#[cfg(feature = "__testing")]
mod leaf;
mod logins;
#[cfg(feature = "__testing")]
mod messages;
mod overtaken;
mod reasons;
mod snapshot;
mod storage;
mod tokens;

use crate::support::{certificates, nats, stream};
use dialback::fleet::Stream;
use dialback::fleet::nats::{NatsOptions, NatsStream, Syncing};
use nats::NatsServer;
use std::sync::Arc;

fn options(server: &NatsServer) -> NatsOptions {
    NatsOptions::new(server.url())
}

fn open(options: NatsOptions) -> NatsStream {
    NatsStream::new(options).expect("valid options")
}

#[test]
fn the_nats_stream_conforms() {
    let server = NatsServer::start();
    let mut streams = 0;
    stream::conforms(|| {
        streams += 1;
        let name = format!("stream{streams}");
        let options = NatsOptions { stream: name.clone(), prefix: name, ..options(&server) };
        Box::new(move || Arc::new(open(options.clone())) as Arc<dyn Stream>)
    });
}

#[test]
fn a_servers_facts_and_sync_setting_are_read() {
    let server = NatsServer::start();
    let stream = open(options(&server));
    let facts = stream.server().expect("there");
    assert!(facts.version.starts_with("2."), "{facts:?}");
    assert_eq!(facts.replicas, 1);
    let wanted = if nats::is_old() { "cannot sync before" } else { "sync_interval: always" };
    assert!(facts.warnings().iter().any(|warning| warning.contains(wanted)), "{facts:?}");
    if nats::is_old() {
        return;
    }
    let page = ureq::get(format!("{}/varz", server.monitor())).call().expect("there").body_mut().read_to_string();
    assert_eq!(Syncing::from_varz(&page.expect("text")), Syncing::Always);
    let careless = NatsServer::start_with("jetstream { store_dir: \"STORE\" }");
    let page = ureq::get(format!("{}/varz", careless.monitor())).call().expect("there").body_mut().read_to_string();
    assert!(matches!(Syncing::from_varz(&page.expect("text")), Syncing::Within(_)));
}
