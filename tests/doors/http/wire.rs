//! The control API over a real socket.

use crate::http::rate_limit;
use crate::support::server::Server;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn say(address: std::net::SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn request_over_a_real_socket_is_answered() {
    let server = Server::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = tokio::spawn(axum::serve(listener, server.router.clone()).into_future());

    let answer = say(address, b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n")
            && answer.ends_with("\r\n\r\n{\"status\":\"ok\",\"durability\":\"memory\"}"),
        "{answer}"
    );
    let answer = say(address, b"GET /api/v1/agents HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("\"INVALID_TOKEN\""), "{answer}");
    serve.abort();
}

/// Sends the requests one after the other, and reads an answer only after its whole request was sent. Returns the heads of
/// the answers until the server closes the connection.
async fn converse(server: &Server, requests: &[Vec<u8>]) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = tokio::spawn(axum::serve(listener, server.router.clone()).into_future());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut heads = Vec::new();
    for request in requests {
        stream.write_all(request).await.unwrap();
        let Some(head) = answer_head(&mut stream).await else { break };
        heads.push(head);
    }
    serve.abort();
    heads
}

/// Reads one answer and returns its head in lower case. Returns `None` if the connection ends.
async fn answer_head(stream: &mut TcpStream) -> Option<String> {
    let mut answer = Vec::new();
    let head = loop {
        let mut byte = [0];
        match tokio::time::timeout(Duration::from_secs(20), stream.read(&mut byte)).await.expect("an answer") {
            Ok(1) => answer.push(byte[0]),
            _ => return None,
        }
        if answer.ends_with(b"\r\n\r\n") {
            break String::from_utf8(answer).unwrap().to_ascii_lowercase();
        }
    };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
    stream.read_exact(&mut vec![0; length.parse().unwrap()]).await.unwrap();
    Some(head)
}

fn post(token: &str, path: &str, more: &str, body: &str, is_chunked: bool) -> Vec<u8> {
    let (framing, body) = if is_chunked {
        ("transfer-encoding: chunked".into(), format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()))
    } else {
        (format!("content-length: {}", body.len()), body.to_owned())
    };
    let head =
        format!("POST /api/v1{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{more}{framing}\r\n\r\n");
    (head + &body).into_bytes()
}

#[tokio::test]
async fn connection_stays_open_after_a_request_rejected_before_its_body_was_read() {
    let json = "content-type: application/json\r\n";
    let body = format!("{{\"name\": \"{}\"}}", "x".repeat(700_000));
    for is_chunked in [false, true] {
        let (server, _) = rate_limit::start(100, 1);
        let (tenant, gateway) = (server.tenant_token(), server.gateway_token());
        let refused = [
            (401, post("talq_x", "/agents", json, &body, is_chunked)),
            (401, post("talq_x", "/calls", json, &body, is_chunked)),
            (401, post("talq_x", "/calls/bulk", "content-type: application/x-ndjson\r\n", &body, is_chunked)),
            (403, post(gateway, "/agents", json, &body, is_chunked)),
            (415, post(tenant, "/agents", "content-type: text/plain\r\n", &body, is_chunked)),
            (422, post(tenant, "/agents", &format!("{json}idempotency-key: a b\r\n"), &body, is_chunked)),
            (429, post(gateway, "/calls", json, &body, is_chunked)),
            (404, post(tenant, "/nothing", json, &body, is_chunked)),
            (405, post(tenant, "/route", json, &body, is_chunked)),
            (200, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
        ];
        let requests: Vec<_> = refused.iter().map(|(_, request)| request.clone()).collect();
        let heads = converse(&server, &requests).await;
        let statuses: Vec<_> = heads.iter().map(|head| head[9..12].parse::<u16>().unwrap()).collect();
        let expected: Vec<_> = refused.iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses, expected, "chunked: {is_chunked}");
        assert!(heads.iter().all(|head| !head.contains("connection: close")));
    }
}

#[tokio::test]
async fn connection_closes_if_the_unread_body_exceeds_the_limits() {
    let server = Server::start();
    let json = "content-type: application/json\r\n";
    let long = format!("content-length: {}", 1 << 30);
    let head = |more: &str, length: &str| {
        let start = "POST /api/v1/agents HTTP/1.1\r\nhost: x\r\nauthorization: Bearer talq_x\r\n";
        format!("{start}{json}{more}{length}\r\n\r\n").into_bytes()
    };
    for request in [head("", &long), head("expect: 100-continue\r\n", "content-length: 10")] {
        let heads = converse(&server, &[request]).await;
        assert!(heads[0].starts_with("http/1.1 401 ") && heads[0].contains("connection: close"), "{heads:?}");
    }
}
