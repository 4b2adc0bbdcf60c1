//! Commands with `--url https://…`: they reach a daemon that they trust, and send their token to no other server.

use crate::support::certificates::Certificates;
use crate::support::daemon::{Daemon, dialback};
use rcgen::{BasicConstraints, IsCa, date_time_ymd};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

const TOKEN: &str = "talq_secret";

/// The first bytes of a handshake, which a server without TLS does not understand.
const HELLO: &[u8] = &[22, 3];

/// A server on this machine that keeps what clients send to it, without TLS or after the handshake.
struct Witness {
    port: u16,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Witness {
    /// Starts a server that gives this answer to each request.
    fn start(tls: Option<ServerConfig>, answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (heard, tls) = (Arc::clone(&received), tls.map(Arc::new));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                match &tls {
                    Some(config) => {
                        let connection = ServerConnection::new(Arc::clone(config)).expect("a server");
                        serve(StreamOwned::new(connection, stream), &heard, &answer);
                    }
                    None => serve(stream, &heard, &answer),
                }
            }
        });
        Self { port, received }
    }

    fn has_the_token(&self) -> bool {
        String::from_utf8_lossy(&self.received.lock().expect("no panic")).contains(TOKEN)
    }

    fn has_nothing(&self) -> bool {
        self.received.lock().expect("no panic").is_empty()
    }
}

/// Reads the head of a request, and answers it.
fn serve(mut stream: impl Read + Write, heard: &Mutex<Vec<u8>>, answer: &str) {
    let mut buffer = [0; 4096];
    // A client that does not trust the certificate ends the handshake, which fails the read.
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        let mut heard = heard.lock().expect("no panic");
        heard.extend_from_slice(&buffer[..length]);
        if heard.ends_with(b"\r\n\r\n") || heard.starts_with(HELLO) {
            break;
        }
    }
    let _ = stream.write_all(answer.as_bytes());
    let _ = stream.flush();
}

fn server(certificates: &Certificates, name: &str) -> ServerConfig {
    let chain = CertificateDer::from_pem_file(certificates.path(&format!("{name}.pem"))).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(certificates.path(&format!("{name}.key"))).expect("a key");
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![chain], key))
        .expect("a server")
}

/// Runs `agent list` with these arguments and variables. Returns the exit code and standard error.
fn list(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dialback"));
    command.args(["agent", "list"]).args(arguments).env("DIALBACK_TOKEN", TOKEN).envs(variables.iter().copied());
    let output = command.output().expect("it runs");
    let errors = String::from_utf8(output.stderr).expect("UTF-8");
    (output.status.code().expect("it exits by itself"), errors)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn commands_reach_a_daemon_that_they_trust() {
    let (folder, certificates) = (tempfile::tempdir().expect("a directory"), Certificates::new());
    certificates.issue("daemon");
    let (cert, key) = (certificates.path("daemon.pem"), certificates.path("daemon.key"));
    let data = folder.path().join("data");
    let daemon = Daemon::start_with(&data, &["--tls-cert", text(&cert), "--tls-key", text(&key)]);
    let (code, token, errors) = dialback(&["token", "create", "--data"], &data);
    assert_eq!(code, 0, "{errors}");
    let token = [("DIALBACK_TOKEN", token.trim())];
    let with = |name, value| [token[0], (name, value)];

    let address = daemon.public_address();
    let url = format!("https://{address}");
    let by_name = url.replace("127.0.0.1", "localhost");
    let authority = certificates.authority();
    let ca = text(&authority);
    for (arguments, variables) in [
        (vec!["--url", &url, "--ca", ca], &token[..]),
        (vec!["--url", &by_name, "--ca", ca], &token),
        (vec!["--url", &url], &with("DIALBACK_CA", ca)),
        // The option outranks the variable, and an empty variable counts as none.
        (vec!["--url", &url, "--ca", ca], &with("DIALBACK_CA", "/nowhere")),
        (vec!["--ca", ca], &with("DIALBACK_URL", &url)),
        // This variable replaces the certificates of the system.
        (vec!["--url", &url], &[token[0], ("DIALBACK_CA", ""), ("SSL_CERT_FILE", ca)]),
    ] {
        let (code, errors) = list(&arguments, variables);
        assert_eq!(code, 0, "{arguments:?}: {errors}");
    }
    let (code, errors) = list(&["--url", &url], &token);
    assert!(code == 1 && errors.contains("is not trusted: no trusted authority issued its certificate"), "{errors}");
    assert!(errors.contains("--ca"), "the message has the remedy: {errors}");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn token_is_not_sent_to_a_server_that_is_not_trusted() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    for made in [&certificates, &others] {
        made.issue("valid");
    }
    let other = rcgen::SanType::DnsName("other.example".try_into().expect("a name"));
    certificates.issue_changed("foreign", |params| params.subject_alt_names = vec![other]);
    certificates.issue_changed("nameless", |params| params.subject_alt_names.clear());
    certificates.issue_changed("authority", |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    certificates.issue_changed("expired", |params| params.not_after = date_time_ymd(2021, 1, 1));
    certificates.issue_changed("early", |params| params.not_before = date_time_ymd(3000, 1, 1));
    let authority = certificates.authority();
    let ca = ["--ca", text(&authority)];
    for (issuer, name, trusted, expected) in [
        (&certificates, "valid", &[][..], "no trusted authority issued its certificate"),
        (&others, "valid", &ca, "no trusted authority issued its certificate"),
        (&certificates, "foreign", &ca, "its certificate is not for the host of --url, but for "),
        (&certificates, "nameless", &ca, "its certificate is for no host"),
        (&certificates, "authority", &ca, "its certificate is an authority's"),
        (&certificates, "expired", &ca, "its certificate has expired"),
        (&certificates, "early", &ca, "its certificate is not valid yet"),
    ] {
        let witness = Witness::start(Some(server(issuer, name)), String::new());
        let url = format!("https://127.0.0.1:{}", witness.port);
        let (code, errors) = list(&[&["--url", &url], trusted].concat(), &[]);
        assert!(code == 1 && errors.contains(&format!("{url} is not trusted: {expected}")), "{name}: {errors}");
        assert!(witness.has_nothing(), "{name}: a request was sent");
    }
    // The canary: a trusted server does get the token.
    let witness = Witness::start(Some(server(&certificates, "valid")), "HTTP/1.1 500 x\r\n\r\n".to_owned());
    assert_eq!(list(&[&["--url", &format!("https://127.0.0.1:{}", witness.port)], &ca[..]].concat(), &[]).0, 1);
    assert!(witness.has_the_token());

    let witness = Witness::start(None, "HTTP/1.1 400 x\r\ncontent-length: 0\r\n\r\n".to_owned());
    let (code, errors) = list(&[&["--url", &format!("https://127.0.0.1:{}", witness.port)], &ca[..]].concat(), &[]);
    assert!(code == 1 && errors.contains("does not speak TLS: check the port"), "{errors}");
    assert!(!witness.has_the_token());
}

#[test]
fn url_without_tls_for_a_port_with_tls_is_explained() {
    let certificates = Certificates::new();
    certificates.issue("daemon");
    let folder = tempfile::tempdir().expect("a directory");
    let (cert, key) = (certificates.path("daemon.pem"), certificates.path("daemon.key"));
    let daemon = Daemon::start_with(&folder.path().join("data"), &["--tls-cert", text(&cert), "--tls-key", text(&key)]);
    let (code, errors) = list(&["--url", &format!("http://{}", daemon.public_address())], &[]);
    assert!(code == 1 && errors.contains("does not speak HTTP: if it has TLS, write https://"), "{errors}");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn redirect_is_reported_and_not_followed() {
    let certificates = Certificates::new();
    certificates.issue("valid");
    let authority = certificates.authority();
    let ca = ["--ca", text(&authority)];
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        for (tls, scheme, trusted) in [(None, "http", &[][..]), (Some(server(&certificates, "valid")), "https", &ca)] {
            let elsewhere = Witness::start(None, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned());
            let location = format!("http://127.0.0.1:{}/api/v1/agents", elsewhere.port);
            let answer = format!("HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
            let witness = Witness::start(tls, answer);
            let url = format!("{scheme}://127.0.0.1:{}", witness.port);
            let (code, errors) = list(&[&["--url", &url], trusted].concat(), &[]);
            assert!(code == 1 && errors.contains("answered with a redirect (30"), "{status}: {errors}");
            assert!(witness.has_the_token() && elsewhere.has_nothing(), "{status}");
        }
    }
}

#[test]
fn unusable_file_of_certificates_is_named_before_anything_is_sent() {
    let certificates = Certificates::new();
    certificates.issue("valid");
    let witness = Witness::start(None, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned());
    let url = format!("https://127.0.0.1:{}", witness.port);
    let damaged = certificates.path("damaged.pem");
    fs::write(&damaged, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").expect("written");
    let (nowhere, key) = (certificates.path("nowhere.pem"), certificates.path("valid.key"));
    for (file, why) in [
        (&nowhere, "No such file"),
        (&key, "the file contains no certificate"),
        (&damaged, "the file contains a damaged certificate"),
    ] {
        for (arguments, variables) in [
            (vec!["--url", &url, "--ca", text(file)], vec![]),
            (vec!["--url", &url], vec![("DIALBACK_CA", text(file))]),
        ] {
            let (code, errors) = list(&arguments, &variables);
            assert!(code == 1 && errors.contains(why) && errors.contains(text(file)), "{errors}");
            assert!(!errors.contains("PRIVATE"), "{errors}");
        }
    }
    let authority = certificates.authority();
    let ca = text(&authority);
    let clear = url.replace("https", "http");
    let (code, errors) = list(&["--url", &clear, "--ca", ca], &[]);
    assert!(code == 2 && errors.contains("--ca is for a --url that begins with https://"), "{errors}");
    assert_eq!(list(&["--ca", ca], &[]).0, 2, "the option needs --url");
    let (code, errors) = list(&["--url", "ftp://127.0.0.1", "--ca", ca], &[]);
    assert!(code == 1 && errors.contains("must begin with https:// or http://"), "{errors}");
    assert!(witness.has_nothing(), "no command got as far as a connection");
    // The variable names the certificates of all daemons, of which others may be reached without TLS.
    list(&["--url", &clear], &[("DIALBACK_CA", ca)]);
    assert!(witness.has_the_token());
}
