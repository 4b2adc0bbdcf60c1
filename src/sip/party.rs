//! Parses the address in a header field: `"Name" <uri>;params` or `uri;params` (RFC 3261, section 20.10). The SIP
//! library reads `sip:` addresses only, but numbers also come as `tel:`.

/// The parts of a From, To or P-Asserted-Identity value. Nothing is decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Party<'a> {
    pub(super) uri: &'a str,
    params: &'a str,
}

impl<'a> Party<'a> {
    /// Parses a value. Returns `None` if a quote or bracket is not closed, or if there is no scheme.
    pub(super) fn of(value: &'a str) -> Option<Party<'a>> {
        let value = value.trim();
        let behind_name = match value.strip_prefix('"') {
            Some(quoted) => quoted[closing_quote(quoted)? + 1..].trim_start(),
            None => value,
        };
        let (uri, params) = match behind_name.split_once('<') {
            Some((name, rest)) if value == behind_name || name.is_empty() => {
                if name.contains('"') {
                    return None;
                }
                let (uri, params) = rest.split_once('>')?;
                (uri.trim(), params.trim_start())
            }
            // A quoted display name must be followed by an address in angle brackets.
            _ if value != behind_name => return None,
            _ => behind_name.find([';', '?']).map_or((behind_name, ""), |end| behind_name.split_at(end)),
        };
        let uri = uri.trim_end();
        let is_sound = has_scheme(uri) && (params.is_empty() || params.starts_with([';', '?']));
        is_sound.then_some(Party { uri, params })
    }

    /// Returns the parts of a value that is safe to take apart. Returns `None` for what [`of`](Self::of) refuses, and if a
    /// quote in the parameters is not closed.
    pub(super) fn whole(value: &'a str) -> Option<Party<'a>> {
        Self::of(value).filter(|party| is_quoted_in_full(party.params))
    }

    /// Returns the parameters after the address.
    pub(super) fn params(&self) -> impl Iterator<Item = &'a str> {
        split(self.params, ';').skip(1)
    }

    /// Returns the parameters after the host, or after the number of a `tel:` URI.
    pub(super) fn uri_params(&self) -> impl Iterator<Item = &'a str> {
        let uri = self.uri.rsplit_once('@').map_or(self.uri, |(_, host)| host);
        uri.split(['?', ';']).skip(1)
    }

    /// Returns the value of a parameter after the address, or `""` for a parameter without a value.
    pub(super) fn param(&self, name: &str) -> Option<&'a str> {
        self.params().find_map(|param| {
            let (key, value) = param.split_once('=').unwrap_or((param, ""));
            key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

fn has_scheme(uri: &str) -> bool {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let scheme = uri.split_once(':').filter(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty());
    scheme.is_some_and(|(scheme, _)| scheme.bytes().all(is_sign)) && !uri.contains(char::is_whitespace)
}

/// Returns the position of the quote that ends a quoted string. A backslash escapes the next character.
fn closing_quote(text: &str) -> Option<usize> {
    let mut hidden = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !hidden;
        hidden = byte == b'\\' && !hidden;
        closes
    })
}

/// Returns whether each quote in `text` is closed.
fn is_quoted_in_full(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, quoted)) = rest.split_once('"') {
        let Some(end) = closing_quote(quoted) else { return false };
        rest = &quoted[end + 1..];
    }
    true
}

/// Splits `text` at each `mark` that is neither in quotes nor in angle brackets.
pub(super) fn split(text: &str, mark: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut hidden, mut bracketed) = (false, false, false);
        let end = text.find(|c: char| {
            let ends = c == mark && !quoted && !bracketed;
            match c {
                '"' if !hidden => quoted = !quoted,
                '<' if !quoted => bracketed = true,
                '>' if !quoted => bracketed = false,
                _ => {}
            }
            hidden = c == '\\' && quoted && !hidden;
            ends
        });
        rest = end.map(|end| &text[end + mark.len_utf8()..]);
        Some(end.map_or(text, |end| &text[..end]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_split_into_name_uri_and_parameters() {
        for (value, uri, tag) in [
            ("<sip:a@b>;tag=1", "sip:a@b", Some("1")),
            ("sip:a@b;tag=1", "sip:a@b", Some("1")),
            ("\"A <b> \\\" c\" <sip:a@b;tag=2>;x;tag = 3", "sip:a@b;tag=2", Some("3")),
            ("A B <tel:+1-212>", "tel:+1-212", None),
            ("caller<sip:a@b>;x=\";tag=4\"", "sip:a@b", None),
            ("sip:a@b?x=y;tag=5", "sip:a@b", Some("5")),
        ] {
            let party = Party::of(value).unwrap_or_else(|| panic!("{value}"));
            assert_eq!((party.uri, party.param("TAG")), (uri, tag), "{value}");
        }
    }

    #[test]
    fn unclosed_or_missing_address_returns_none() {
        for value in [
            "",
            "\"A <sip:a@b>",
            "<sip:a@b",
            "a@b",
            "<>",
            "\"A\" sip:a@b",
            "<sip:a@b> x",
            "A \"b <sip:a@b>",
            "<sip:a b@c>",
        ] {
            assert_eq!(Party::of(value), None, "{value}");
        }
    }
}
