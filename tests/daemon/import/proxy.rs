//! A proxy in front of a daemon, which fails chosen requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use ureq::http::Request;

/// What the proxy does with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Forward,
    /// Answers with this status, and does not forward the request.
    Refuse(u16),
    /// Forwards the request, and closes the connection without an answer.
    LoseAnswer,
}

/// Starts a proxy. `fate` decides by the method and the path of a request, such as `POST /api/v1/agents`. Returns the
/// proxy's URL.
pub(super) fn start(daemon: &str, fate: impl Fn(&str) -> Fate + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (daemon, fate) = (daemon.to_owned(), Arc::new(fate));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (daemon, fate) = (daemon.clone(), Arc::clone(&fate));
            // The client may go away.
            thread::spawn(move || pass(&stream.expect("a connection"), &daemon, &*fate).unwrap_or_default());
        }
    });
    url
}

/// Passes one request of a connection on.
fn pass(mut stream: &TcpStream, daemon: &str, fate: &dyn Fn(&str) -> Fate) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
    let mut request = Request::builder().method(method).uri(format!("{daemon}{path}"));
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().expect("a length"),
            "authorization" | "content-type" | "dialback-environment" => request = request.header(name, value),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let fate = fate(&format!("{method} {path}"));
    let (status, text) = match fate {
        Fate::Refuse(status) => (status, b"{\"message\": \"The proxy refuses this\"}".to_vec()),
        Fate::Forward | Fate::LoseAnswer => {
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let answer = agent.run(request.body(&body[..]).expect("a request")).expect("an answer");
            let status = answer.status().as_u16();
            (status, answer.into_body().read_to_vec().expect("a body"))
        }
    };
    if fate == Fate::LoseAnswer {
        return Ok(());
    }
    write!(stream, "HTTP/1.1 {status} -\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len())?;
    stream.write_all(&text)
}
