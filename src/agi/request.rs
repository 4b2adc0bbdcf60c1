//! Reads an AGI request: the variables of the call, one on each line.

use std::collections::HashMap;
use std::fmt;

/// The largest size of a request. Asterisk's own variables take a few hundred bytes; arguments and the caller's name
/// come on top.
pub(super) const MAX_BYTES: usize = 16_384;

/// The variables of one call. They hold phone numbers, so `Debug` prints none of them.
pub(super) struct Request(HashMap<String, String>);

impl Request {
    /// Reads lines of the form `agi_name: value`. Returns `None` if a line has another form, or if the requested
    /// script is not `route`.
    pub(super) fn read(head: &str) -> Option<Self> {
        let lines = head.lines().map(|line| line.split_once(':'));
        let variables = lines.map(|line| line.map(|(name, value)| (name.to_owned(), value.trim().to_owned())));
        let request = Self(variables.collect::<Option<_>>()?);
        let script = request.get("agi_network_script").unwrap_or_default().trim_start_matches('/');
        matches!(script, "" | "route").then_some(request)
    }

    pub(super) fn dialed(&self) -> &str {
        self.get("agi_arg_1").or_else(|| self.get("agi_extension")).unwrap_or_default()
    }

    /// Returns the caller, or `None` if the caller is withheld or unknown.
    pub(super) fn caller(&self) -> Option<&str> {
        if let Some(caller) = self.get("agi_arg_2") {
            return Some(caller);
        }
        // The two bits of the presentation (ITU-T Q.951): 0 allowed, 1 restricted, 2 not available.
        // One that cannot be read may be restricted.
        let presentation = self.get("agi_callingpres").map(str::parse::<u32>);
        let is_shown = presentation.is_none_or(|presentation| presentation.is_ok_and(|bits| bits & 0x60 == 0));
        self.get("agi_callerid").filter(|caller| is_shown && *caller != "unknown")
    }

    /// Returns a variable's value unless it is empty.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Option<Request> {
        Request::read(&lines.join("\n"))
    }

    #[test]
    fn arguments_take_precedence_over_channel_variables() {
        let own = ["agi_network: yes", "agi_extension: +12125550100", "agi_callerid: 2125550143", "agi_callingpres: 0"];
        let request = read(&own).expect("a request");
        assert_eq!((request.dialed(), request.caller()), ("+12125550100", Some("2125550143")));
        let request = read(&[&own[..], &["agi_arg_1: +12125550101", "agi_arg_2: sip:+49@x"]].concat()).expect("one");
        assert_eq!((request.dialed(), request.caller()), ("+12125550101", Some("sip:+49@x")));
        let request = read(&[&own[..], &["agi_arg_1:", "agi_arg_2: "]].concat()).expect("a request");
        assert_eq!((request.dialed(), request.caller()), ("+12125550100", Some("2125550143")));
    }

    #[test]
    fn restricted_presentation_hides_the_caller() {
        for (presentation, is_shown) in
            [("0", true), ("3", true), ("32", false), ("35", false), ("67", false), ("x", false)]
        {
            let request = read(&["agi_callerid: 2125550143", &format!("agi_callingpres: {presentation}")]);
            assert_eq!(request.expect("a request").caller().is_some(), is_shown, "{presentation}");
        }
        assert_eq!(read(&["agi_callerid: unknown"]).expect("a request").caller(), None);
        assert_eq!(read(&[]).expect("a request").caller(), None);
    }

    #[test]
    fn unknown_script_or_malformed_line_is_rejected() {
        for script in ["", "route", "/route"] {
            assert!(read(&[&format!("agi_network_script: {script}")]).is_some(), "{script}");
        }
        assert!(read(&["agi_network_script: placed"]).is_none());
        assert!(read(&["GET / HTTP/1.1"]).is_none());
    }
}
