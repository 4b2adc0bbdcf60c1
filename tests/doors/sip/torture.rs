//! The torture messages of RFC 4475 and RFC 5118 in `torture.txt`, each with the expected status or no response.

use crate::support::shop::{Shop, peer, status};
use dialback::metrics::SipEvent;

const SDP: &str = "v=0\no=mhandley 29739 7272939 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n\
                   m=audio 49217 RTP/AVP 0 12\nm=video 3227 RTP/AVP 31\na=rtpmap:31 LPC\n";

struct Torture {
    name: String,
    message: Vec<u8>,
    answered: Option<u16>,
}

/// Reads the table. Its first lines describe its format.
fn table() -> Vec<Torture> {
    let blocks: Vec<&str> = include_str!("torture.txt").split("\n=== ").skip(1).collect();
    blocks.into_iter().map(Torture::read).collect()
}

impl Torture {
    fn read(block: &str) -> Self {
        let (title, text) = block.split_once('\n').expect("a title");
        let (name, answered) = title.split_once(' ').expect("a name and what is answered");
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("# ")).collect();
        let text = lines.join("\n");
        let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
        let body = body.trim_end().replace("{SDP}", SDP).replace('\n', "\r\n");
        let head = format!("{head}\n").replace('\n', "\r\n").replace(": @\r\n", &format!(": {}\r\n", body.len()));
        let message = unescape(&format!("{head}\r\n{body}"));
        Self { name: name.into(), message, answered: answered.parse().ok() }
    }
}

/// Decodes escapes: `{07}` is one byte.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, code)) = rest.split_once('{') {
        bytes.extend_from_slice(before.as_bytes());
        let escaped = code.split_once('}').and_then(|(code, after)| Some((u8::from_str_radix(code, 16).ok()?, after)));
        let (byte, after) = escaped.unwrap_or((b'{', code));
        bytes.push(byte);
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// Returns `longreq`, a request with very long names, tags and fields.
fn long_request() -> Vec<u8> {
    let long = "longvalue".repeat(40);
    let vias = "Via: SIP/2.0/TCP sip33.example.com\r\n".repeat(40);
    format!(
        "INVITE sip:user@example.com SIP/2.0\r\nTo: \"I have a user name of {long} proportion\"\
         <sip:user@example.com:6000;unknownparam1=very{long};long{long}name=shortvalue;very{long}>\r\n\
         F: sip:amazinglylongcallername{long}@example.net;tag=12{long}424;unknown{long}={long};unknownparam\r\n\
         Call-ID: longreq.one{long}call-id\r\nCSeq: 3882340 INVITE\r\nUnknown-{long}-Header: unknown-{long}-value; \
         unknown-{long}-name={long}\r\n{vias}v: SIP/2.0/UDP foobar.example.com;branch=very{long}branchvalue\r\n\
         Max-Forwards: 70\r\nContact: <sip:amazinglylongcallername{long}@host5.example.net>\r\n\
         Content-Type: application/sdp\r\nl: 0\r\n\r\n"
    )
    .into_bytes()
}

#[test]
fn each_torture_message_gets_the_listed_response() {
    let shop = Shop::open();
    let table = table();
    assert!(table.len() > 45, "{}", table.len());
    for torture in &table {
        let answer = shop.ask_bytes(&torture.message);
        let answered = answer.as_ref().map(|answer| status(&String::from_utf8_lossy(&answer.bytes)));
        assert_eq!(answered, torture.answered, "{}", torture.name);
    }
    let answer = shop.ask_bytes(&long_request()).expect("longreq: an answer");
    assert!(answer.bytes.starts_with(b"SIP/2.0 404 "));
    assert_eq!(shop.door.counts().happened(SipEvent::Response), 5);
    assert_eq!(shop.door.counts().happened(SipEvent::Panic), 0);
}

/// Truncates each message at each position over UDP, and appends foreign bytes to it.
#[test]
fn truncated_torture_messages_do_not_break_the_door() {
    let shop = Shop::open();
    let mut tried = 0;
    for Torture { message, .. } in &table() {
        let head = message.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
        for end in 0..message.len() {
            let answer = shop.door.answer(&message[..end], peer());
            // A message without the end of its head, or without all of its body, is malformed.
            let status = answer.map(|answer| status(&String::from_utf8_lossy(&answer.bytes)));
            assert!(end >= head || matches!(status, None | Some(400 | 505)), "{end}: {status:?}");
            tried += 1;
        }
    }
    assert!(tried > 15_000, "{tried}");
    assert_eq!(shop.door.counts().happened(SipEvent::Panic), 0);
}
