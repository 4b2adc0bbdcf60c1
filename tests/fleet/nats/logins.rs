//! Logins at servers that demand one, and connections that must use TLS.

use super::certificates::Certificates;
use super::nats::NatsServer;
use super::open;
use super::stream::messages;
use super::tokens::Issuers;
use dialback::fleet::nats::{self, Login, NatsOptions};
use dialback::fleet::{Stream, StreamError};
use nkeys::KeyPair;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

const JETSTREAM: &str = "jetstream { store_dir: \"STORE\" }\n";

/// Returns the options of a node at this server, with this text before the host in the URL.
fn at(server: &NatsServer, login: &str) -> NatsOptions {
    let url = server.url().replace("nats://", &format!("nats://{login}"));
    NatsOptions { patience: Duration::from_secs(2), ..NatsOptions::new(url) }
}

fn accepted(options: NatsOptions) {
    let published = open(options).publish(&messages(0, 0..3));
    published.unwrap_or_else(|error| panic!("{error}"));
}

/// Returns the reason why the node cannot publish. It must contain no secret.
fn refused(options: NatsOptions) -> String {
    match open(options).publish(&messages(0, 0..1)) {
        Err(StreamError::Away(why)) => {
            assert!(!why.contains("s3cret") && !why.contains("wrong"), "{why}");
            why
        }
        other => panic!("{other:?}"),
    }
}

fn password(user: &str, password: &str) -> Login {
    Login::Password { user: user.into(), password: password.into() }
}

#[test]
fn a_user_and_password_log_in() {
    let server = NatsServer::start_with(&format!(
        "{JETSTREAM} authorization {{ users: [{{ user: \"the gateway\", password: \"s3cret/@:%\" }}] }}"
    ));
    accepted(at(&server, "the%20gateway:s3cret%2F%40%3A%25@"));
    accepted(NatsOptions { login: password("the gateway", "s3cret/@:%"), ..at(&server, "") });
    let why = refused(at(&server, "the%20gateway:wrong@"));
    assert!(why.contains("authorization violation"), "{why}");
    assert!(refused(at(&server, "")).contains("authorization violation"));
    assert!(refused(at(&server, "s3cret%2F%40%3A%25@")).contains("authorization violation"), "this is a token");
}

#[test]
fn a_token_logs_in() {
    let server = NatsServer::start_with(&format!("{JETSTREAM} authorization {{ token: \"s3cret@token\" }}"));
    accepted(at(&server, "s3cret%40token@"));
    accepted(NatsOptions { login: Login::Token("s3cret@token".into()), ..at(&server, "") });
    assert!(refused(at(&server, "wrong@")).contains("authorization violation"));
}

#[test]
fn the_seed_of_an_nkey_logs_in() {
    let (ours, theirs) = (KeyPair::new_user(), KeyPair::new_user());
    let users = format!("authorization {{ users: [{{ nkey: {} }}] }}", ours.public_key());
    let server = NatsServer::start_with(&format!("{JETSTREAM} {users}"));
    let login = |pair: &KeyPair| Login::from_seed(&pair.seed().expect("it has one")).expect("a user's");
    accepted(NatsOptions { login: login(&ours), ..at(&server, "") });
    assert!(refused(NatsOptions { login: login(&theirs), ..at(&server, "") }).contains("authorization violation"));
}

#[test]
fn a_credentials_file_logs_in() {
    let (operator, stranger) = (Issuers::new(), Issuers::new());
    let server = NatsServer::start_with(&format!("{JETSTREAM} {}", operator.configuration()));
    let login = |operator: &Issuers| Login::from_credentials(&operator.credentials()).expect("valid");
    accepted(NatsOptions { login: login(&operator), ..at(&server, "") });
    assert!(refused(NatsOptions { login: login(&stranger), ..at(&server, "") }).contains("authorization violation"));
}

/// Starts a server with a certificate of this authority, which demands one of the same authority from its clients.
fn tls_server(certificates: &Certificates) -> NatsServer {
    certificates.issue("server");
    NatsServer::start_with(&format!(
        "{JETSTREAM} tls {{ cert_file: \"{0}/server.pem\", key_file: \"{0}/server.key\", ca_file: \"{0}/ca.pem\", \
         verify_and_map: true }}\n authorization {{ users: [{{ user: \"CN=gateway\" }}] }}",
        certificates.directory().display()
    ))
}

#[test]
fn a_client_certificate_logs_in() {
    let certificates = Certificates::new();
    let server = tls_server(&certificates);
    let with = |authorities: Option<&Certificates>, client: Option<&str>| {
        let path = |file: String| certificates.path(&file);
        let files = nats::Certificates {
            authorities: authorities.map(Certificates::authority),
            client: client.map(|name| (path(format!("{name}.pem")), path(format!("{name}.key")))),
        };
        NatsOptions { certificates: files, ..at(&server, "") }
    };
    certificates.issue("gateway");
    certificates.issue("stranger");
    accepted(with(Some(&certificates), Some("gateway")));
    refused(with(Some(&certificates), None));
    assert!(refused(with(Some(&certificates), Some("stranger"))).contains("authorization violation"));
    refused(with(Some(&Certificates::new()), Some("gateway")));
    refused(with(None, Some("gateway")));
}

#[test]
fn a_node_finds_the_reachable_one_of_several_servers_and_logs_in() {
    let mut dead = NatsServer::start();
    let server = NatsServer::start_with(&format!("{JETSTREAM} authorization {{ token: \"s3cret\" }}"));
    dead.kill();
    let servers = format!("{},{}", dead.url(), server.url().replace("nats://", "nats://s3cret@"));
    for _ in 0..4 {
        accepted(NatsOptions { servers: servers.clone(), ..at(&server, "") });
    }
}

/// A server that does not offer TLS must not get the password of a node that demands TLS.
#[test]
fn no_secret_is_sent_without_tls_when_tls_is_demanded() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let sent_by = |url: String, certificates: nats::Certificates| {
        let patience = Duration::from_secs(1);
        let stream = open(NatsOptions { certificates, patience, ..NatsOptions::new(url) });
        let (mut socket, _) = listener.accept().expect("the node connects");
        let info = "INFO {\"server_id\":\"x\",\"version\":\"2.14.0\",\"headers\":true,\"max_payload\":1048576}\r\n";
        socket.write_all(info.as_bytes()).expect("sent");
        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("set");
        let mut sent = [0; 4096];
        let length = socket.read(&mut sent).unwrap_or_default();
        drop(stream);
        String::from_utf8_lossy(&sent[..length]).into_owned()
    };
    let files = Certificates::new();
    let with_authority = || nats::Certificates { authorities: Some(files.authority()), client: None };
    let plain = sent_by(format!("nats://me:s3cret@{address}"), nats::Certificates::default());
    assert!(plain.contains("s3cret"), "the server of this test gets a password: {plain}");
    let demanded = sent_by(format!("tls://me:s3cret@{address}"), nats::Certificates::default());
    assert!(!demanded.is_empty() && !demanded.contains("s3cret"), "{demanded}");
    let demanded = sent_by(format!("nats://me:s3cret@{address}"), with_authority());
    assert!(!demanded.is_empty() && !demanded.contains("s3cret"), "{demanded}");
    let by_another = sent_by(format!("nats://me:s3cret@{address},tls://127.0.0.2:1"), nats::Certificates::default());
    assert!(!by_another.contains("s3cret"), "{by_another}");
}
