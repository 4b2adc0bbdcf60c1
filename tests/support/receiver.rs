//! A receiver of webhooks: an HTTP server that remembers what it got.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

/// The time limit for a message on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that was received.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Received {
    /// Returns a header, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// The answer of the receiver to a request.
#[derive(Clone, Copy)]
pub enum Reply {
    Status(u16),
    /// A redirect to another path of the receiver.
    Redirect,
    /// Never answers.
    Hang,
    /// Sends an answer without end.
    Endless,
}

type Answer = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

/// A receiver. Its threads end with the test program.
#[derive(Clone)]
pub struct Receiver {
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<AtomicUsize>,
}

impl Receiver {
    pub fn start(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::on(0, answer)
    }

    /// Starts a receiver on a port, for example that of one before it.
    pub fn on(port: u16, answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (received, answer): (_, Answer) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(answer));
        let there = Arc::clone(&received);
        let connections = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&connections);
        spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                let (received, answer) = (Arc::clone(&there), Arc::clone(&answer));
                spawn(move || while serve(&stream, &received, &answer).is_some() {});
            }
        });
        Self { port, received, connections }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns how many connections were opened.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn all(&self) -> Vec<Received> {
        self.received.lock().expect("sound").clone()
    }

    /// Waits until at least so many requests have come, and returns all.
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        let began = Instant::now();
        loop {
            let all = self.all();
            if all.len() >= count {
                return all;
            }
            assert!(began.elapsed() < PATIENCE, "{} of {count} came", all.len());
            sleep(Duration::from_millis(5));
        }
    }
}

/// Reads a request and answers it. Returns `None` if the connection is closed.
fn serve(stream: &TcpStream, received: &Mutex<Vec<Received>>, answer: &Answer) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut request = Received { path, headers, body: String::new() };
    let mut body = vec![0; request.header("content-length").parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    let reply = answer(&request);
    received.lock().expect("sound").push(request);
    let mut stream = stream;
    match reply {
        Reply::Status(status) => write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok").ok(),
        Reply::Redirect => {
            write!(stream, "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n").ok()
        }
        Reply::Hang => {
            sleep(PATIENCE);
            None
        }
        Reply::Endless => {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n").ok()?;
            while stream.write_all(&[b'x'; 8192]).is_ok() {}
            None
        }
    }
}
