//! Splits a header, a URI or a plain text into its parts, one of which may hold a phone number.

use super::scan::{self, Scan};
use super::{DialPlan, E164, NumberError};

/// The parts of a text that names a party. All parts are as they were written.
pub(super) struct Address<'a> {
    /// The display name without its quotes.
    pub(super) display: &'a str,
    /// The user part without parameters and password. `None` if the text has none.
    pub(super) user: Option<&'a str>,
    /// The parameters of the user part or `tel:` URI, between semicolons.
    params: &'a str,
    /// The host without port, parameters and headers.
    pub(super) host: &'a str,
    /// The parameters of a `sip:` URI, which follow the host.
    uri_params: &'a str,
    /// Whether percent escapes in the user part are decoded (`%41` means `A`).
    pub(super) escaped: bool,
}

impl<'a> Address<'a> {
    /// Splits `text`, which is a name-addr or addr-spec (RFC 3261, section 25.1).
    ///
    /// # Errors
    /// `NotANumber` if a quote or bracket is not closed, because a part of the number may be missing.
    pub(super) fn of(text: &'a str) -> Result<Address<'a>, NumberError> {
        let (display, uri) = split(text).ok_or(NumberError::NotANumber)?;
        if let Some(uri) = uri {
            return Ok(Address { display, ..Address::of_uri(uri) });
        }
        let user = scan::trim(display).is_empty().then_some("");
        Ok(Address { display, user, ..Address::EMPTY })
    }

    const EMPTY: Address<'static> =
        Address { display: "", user: None, params: "", host: "", uri_params: "", escaped: false };

    fn of_uri(uri: &'a str) -> Address<'a> {
        if let Some(rest) = strip_scheme(uri, "tel:") {
            let (user, params) = cut(cut(rest, &['?']).0, &[';']);
            return Address { user: Some(user), params, escaped: true, ..Address::EMPTY };
        }
        let sip = strip_scheme(uri, "sip:").or_else(|| strip_scheme(uri, "sips:"));
        let user_and_host = sip.unwrap_or(uri).split_once('@');
        if let Some(host) = user_and_host.map(|(_, host)| host).or(sip) {
            // Header fields in a URI are no parameters.
            let (host, uri_params) = cut(cut(host, &['?']).0, &[';']);
            let host = cut(host, &[':']).0;
            let rest = Address { host, uri_params, escaped: true, ..Address::EMPTY };
            if let Some((user, _)) = user_and_host {
                // A password may contain semicolons. User parameters cannot contain colons.
                let (user, params) = cut(cut(user, &[':']).0, &[';']);
                return Address { user: Some(user), params, ..rest };
            }
            // No host name begins with a plus, but many consist of digits and dots.
            let user = scan::unescape(scan::trim(host), true).next().filter(|&c| c == '+').map(|_| host);
            return Address { user, ..rest };
        }
        // Parameters begin with a letter. Two numbers separated by a semicolon are not one number.
        let (user, params) = match cut(uri, &[';']) {
            (user, params) if scan::trim(params).starts_with(|c: char| c.is_ascii_alphabetic()) => (user, params),
            _ => (uri, ""),
        };
        // A user part that a gateway passes on by itself: each door reads it as within a URI.
        let escaped = strip_scheme(scan::trim(user), "%2B").is_some();
        Address { user: Some(user), params, escaped, ..Address::EMPTY }
    }

    /// Returns the values of all parameters with this name: of the user part, and of the URI.
    pub(super) fn params(&self, name: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
        let params = [self.params, self.uri_params].into_iter().flat_map(|params| params.split(';'));
        let named = params.filter_map(|param| param.split_once('='));
        named.filter(move |(key, _)| scan::trim(key).eq_ignore_ascii_case(name)).map(|(_, value)| scan::trim(value))
    }

    /// Returns the number in the user part.
    pub(super) fn number(&self, plan: &DialPlan) -> Result<E164, NumberError> {
        let user = self.user.ok_or(NumberError::NotANumber)?;
        let found = Scan::of(scan::trim(user), self.escaped)?;
        match self.phone_context() {
            Some(context) if !found.plus => plan.number_in_context(&found, &context),
            _ => plan.number(&found),
        }
    }

    /// Returns the digits of `;phone-context=+…`. A dial plan cannot use a context that is a domain name.
    fn phone_context(&self) -> Option<Scan> {
        let value = self.params.split(';').find_map(|param| {
            let (name, value) = param.split_once('=')?;
            scan::trim(name).eq_ignore_ascii_case("phone-context").then_some(value)
        })?;
        Scan::of(scan::trim(value), true).ok().filter(|context| context.plus)
    }
}

/// Returns the position of the quote that ends a quoted string. A backslash escapes the next character (RFC 3261,
/// section 25.1).
fn closing_quote(text: &str) -> Option<usize> {
    let mut hidden = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !hidden;
        hidden = byte == b'\\' && !hidden;
        closes
    })
}

/// Splits a name-addr or addr-spec into the display name without its quotes, and the URI. A quoted string alone has no
/// URI. Returns `None` if a quote or bracket is not closed.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    let text = scan::trim(text);
    let (display, rest) = if let Some(quoted) = text.strip_prefix('"') {
        let end = closing_quote(quoted)?;
        let rest = scan::trim(&quoted[end + 1..]);
        if rest.is_empty() {
            return Some((&quoted[..end], None));
        }
        (&quoted[..end], rest.strip_prefix('<')?)
    } else {
        match split_at_bracket(text)? {
            (display, Some(rest)) => (display, rest),
            (_, None) => return Some(("", Some(text))),
        }
    };
    let (uri, _) = rest.split_once('>')?;
    Some((display, Some(scan::trim(uri))))
}

/// Returns the text before the first `<` that is not in quotes, and the text after it, if there is one. A name in quotes is
/// the caller's own text, and may look like an address. `None` stands for a quote that is not closed.
fn split_at_bracket(text: &str) -> Option<(&str, Option<&str>)> {
    let mut place = 0;
    while let Some(next) = text[place..].find(['"', '<']) {
        let (before, rest) = text.split_at(place + next);
        match rest.strip_prefix('<') {
            Some(uri) => return Some((before, Some(uri))),
            None => place += next + 1 + closing_quote(&rest[1..])? + 1,
        }
    }
    Some((text, None))
}

fn strip_scheme<'a>(uri: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, rest) = uri.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Returns the parts of `text` before and after the first of `marks`.
fn cut<'a>(text: &'a str, marks: &[char]) -> (&'a str, &'a str) {
    text.split_once(marks).unwrap_or((text, ""))
}
