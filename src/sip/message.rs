//! Reads a SIP request: its start line and header fields. A dependency finds lines, folds and field names; the values
//! are interpreted where they are used.

use super::party::Party;
use super::via::Hop;
use bytes::Bytes;
use ezk_sip_types::Name;
use ezk_sip_types::msg::{Line, PullParser};

/// The largest number of header fields in a message. Regular messages have a few dozen.
const MAX_FIELDS: usize = 256;

/// A SIP request as it came in.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) uri: &'a str,
    fields: Vec<Field>,
}

/// A header field, on one line.
struct Field {
    name: Name,
    value: String,
    /// The original bytes of a value that is not UTF-8. Names in Latin-1 occur, and a response must repeat them
    /// unchanged.
    raw: Option<Vec<u8>>,
}

/// The reason why a request cannot be processed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// The request is malformed.
    Malformed,
    /// The request is of another SIP version.
    Version,
}

/// The content of a packet.
pub(super) enum Packet<'a> {
    /// A request, with the fault if it has one. As much of a faulty request is read as possible.
    Request(Request<'a>, Result<(), Fault>),
    Response,
    /// Bytes that cannot be answered.
    Unreadable,
}

impl<'a> Packet<'a> {
    /// Reads a packet. Bytes after the end of the message are ignored (RFC 3261, section 18.3).
    pub(super) fn read(packet: &'a [u8]) -> Packet<'a> {
        // Line ends before a message are keep-alives or meaningless (section 7.5).
        let blank = packet.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let packet = &packet[blank..];
        let mut lines = PullParser::new(packet, 0);
        let Some(Ok(start)) = lines.next() else { return Packet::Unreadable };
        if start.starts_with(b"SIP/") {
            return Packet::Response;
        }
        let Ok(start) = str::from_utf8(start) else { return Packet::Unreadable };
        let (method, uri, mut fault) = start_line(start);
        let mut fields = Vec::new();
        let mut is_whole = true;
        for line in lines.by_ref() {
            let Ok(line) = line else {
                is_whole = false;
                break;
            };
            match Field::read(line) {
                Some(field) if fields.len() < MAX_FIELDS => fields.push(field),
                _ => fault = fault.and(Err(Fault::Malformed)),
            }
        }
        let request = Request { method, uri, fields };
        if is_whole {
            let body = packet.len() - lines.head_end();
            fault = fault.and(request.check(body));
        } else {
            fault = Err(Fault::Malformed);
        }
        Packet::Request(request, fault)
    }
}

/// The length of a message's head, and the length of the body that it announces.
pub(super) struct Head {
    pub(super) length: usize,
    /// The result of [`Request::content_length`].
    pub(super) body: Result<Option<usize>, Fault>,
}

impl Head {
    /// Returns `None` until the end of the head has arrived. Lines before `seen` are complete and are not scanned
    /// again.
    pub(super) fn find(bytes: &[u8], seen: &mut usize) -> Option<Head> {
        let mut lines = PullParser::new(bytes, *seen);
        let is_whole = lines.check_complete().is_ok();
        *seen = lines.progress();
        if !is_whole {
            return None;
        }
        let length = lines.head_end();
        let fields = PullParser::new(bytes, 0).skip(1).filter_map(|line| Field::read(line.ok()?));
        let fields = fields.filter(|field| field.name == Name::CONTENT_LENGTH).collect();
        let body = Request { method: "", uri: "", fields }.content_length();
        Some(Head { length, body })
    }
}

/// Splits a start line into method and URI, and checks it. Exactly one space separates its three words.
fn start_line(line: &str) -> (&str, &str, Result<(), Fault>) {
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default();
    let uri = words.next().unwrap_or_default();
    let version = words.next().unwrap_or_default();
    let is_three = words.next().is_none() && is_token(method);
    // The URI is copied into responses. It must not have header fields (section 19.1.1), but a question mark in the
    // user part is allowed.
    let is_plain = uri.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"'));
    let is_sound =
        is_three && is_plain && !uri.is_empty() && !uri.rsplit('@').next().is_some_and(|host| host.contains('?'));
    let is_sip = version.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("SIP/"));
    let fault = match () {
        () if !is_sound || !is_sip => Err(Fault::Malformed),
        () if version.eq_ignore_ascii_case("SIP/2.0") => Ok(()),
        () => Err(Fault::Version),
    };
    (method, uri, fault)
}

impl Field {
    /// Reads a header field. Returns `None` if the line is not one.
    fn read(line: &[u8]) -> Option<Field> {
        // A folded line counts as a space (section 7.3.1). A line break must never get into a response.
        let line: Vec<u8> = line.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }).collect();
        let source = Bytes::from(String::from_utf8_lossy(&line).into_owned());
        let (_, Line { name, value }) = Line::parse(&source, str::from_utf8(&source).ok()?).ok()?;
        let value = value.trim().to_owned();
        let raw = str::from_utf8(&line).is_err().then(|| {
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or_default();
            line[colon + 1..].trim_ascii().to_vec()
        });
        (!name.as_print_str().is_empty()).then_some(Field { name, value, raw })
    }

    fn bytes(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.value.as_bytes())
    }

    /// Returns the elements of a Via field, `None` for each that is malformed. A value that is not UTF-8 is malformed.
    fn hops(&self) -> impl Iterator<Item = Option<Hop<'_>>> {
        Hop::all(&self.value).map(|hop| hop.filter(|_| self.raw.is_none()))
    }
}

pub(super) fn is_token(text: &str) -> bool {
    let is_sign = |byte| b"-.!%*_+`'~".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_sign(byte))
}

impl Request<'_> {
    /// Returns the values of all fields with this name, in order.
    pub(super) fn all(&self, name: &Name) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |field| field.name == *name).map(|field| field.value.as_str())
    }

    /// Returns the original bytes of all fields with this name, with folds replaced by spaces.
    pub(super) fn bytes(&self, name: &Name) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |field| field.name == *name).map(Field::bytes)
    }

    /// Returns the value of the first field with this name.
    pub(super) fn first(&self, name: &Name) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns the topmost element of the Via fields. `None` if there is none or it is malformed.
    pub(super) fn top_via(&self) -> Option<Hop<'_>> {
        let field = self.fields.iter().find(|field| field.name == Name::VIA)?;
        field.hops().next()?
    }

    /// Returns the number and the method of the `CSeq`.
    pub(super) fn sequence(&self) -> Option<(u32, &str)> {
        let (number, method) = self.first(&Name::CSEQ)?.split_once([' ', '\t'])?;
        let number = digits(number)?.parse().ok().filter(|number| *number <= i32::MAX.cast_unsigned())?;
        Some((number, method.trim()))
    }

    /// Checks the fields that every request must have (sections 8.1.1, 18.3 and 20).
    fn check(&self, body: usize) -> Result<(), Fault> {
        let once = [Name::FROM, Name::TO, Name::CALL_ID, Name::CSEQ];
        let is_once = once.iter().all(|name| self.all(name).count() == 1);
        let parties =
            [Name::FROM, Name::TO].iter().all(|name| self.first(name).is_some_and(|value| Party::of(value).is_some()));
        let is_ours = self.sequence().is_some_and(|(_, method)| method == self.method);
        let hops =
            self.all(&Name::MAX_FORWARDS).all(|value| digits(value).is_some_and(|hops| hops.parse::<u8>().is_ok()));
        let vias = self.hops_are_sound();
        let is_whole = self.content_length().is_ok_and(|length| length.is_none_or(|length| length <= body));
        let sound = is_once && parties && is_ours && hops && vias && is_whole && self.first(&Name::CALL_ID) != Some("");
        if sound { Ok(()) } else { Err(Fault::Malformed) }
    }

    /// Returns the announced length of the body, or `None` if there is no `Content-Length`.
    ///
    /// # Errors
    /// `Malformed` if the field occurs twice or is not a length.
    pub(super) fn content_length(&self) -> Result<Option<usize>, Fault> {
        let mut lengths = self.all(&Name::CONTENT_LENGTH);
        let Some(length) = lengths.next() else { return Ok(None) };
        let length = digits(length).and_then(|length| length.parse().ok()).ok_or(Fault::Malformed)?;
        if lengths.next().is_some() { Err(Fault::Malformed) } else { Ok(Some(length)) }
    }

    /// Returns whether every Via can be read. The response travels along all of them.
    fn hops_are_sound(&self) -> bool {
        let vias = self.fields.iter().filter(|field| field.name == Name::VIA);
        vias.flat_map(Field::hops).all(|hop| hop.is_some())
    }

    /// Returns whether the request URI has a scheme that can carry a phone number.
    pub(super) fn is_dialable(&self) -> bool {
        let scheme = self.uri.split_once(':').map_or("", |(scheme, _)| scheme);
        ["sip", "sips", "tel"].iter().any(|known| known.eq_ignore_ascii_case(scheme))
    }
}

fn digits(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}
