//! Finds the caller of an INVITE: P-Asserted-Identity, else Remote-Party-ID, else From (RFC 3325). Only messages of
//! trusted peers are read here.

use super::message::Request;
use super::party::{Party, split};
use crate::number::{Attestation, Caller, DialPlan};
use ezk_sip_types::Name;

static ASSERTED: Name = Name::custom("P-Asserted-Identity", &["p-asserted-identity"]);
static REMOTE_PARTY: Name = Name::custom("Remote-Party-ID", &["remote-party-id"]);
/// Fields in which networks send the attestation beside a `verstat` that does not name it.
static ATTESTATIONS: [Name; 3] = [
    Name::custom("Attestation-Info", &["attestation-info"]),
    Name::custom("X-Attestation-Info", &["x-attestation-info"]),
    Name::custom("P-Attestation-Indicator", &["p-attestation-indicator"]),
];
static PRIVACY: Name = Name::custom("Privacy", &["privacy"]);

/// Returns the caller of an INVITE. National numbers are read with `plan`.
///
/// The caller is withheld in these cases, whatever else the INVITE says:
/// * `Privacy` contains `id`, `user` or `header` (RFC 3323, section 4.2), or a word that no standard has.
/// * From is at `anonymous.invalid`, or contains `anonymous` and no number.
/// * An asserted identity or a Remote-Party-ID of the calling party asks for it, or is withheld itself.
///
/// An asserted identity without a number, such as an account, does not end the search.
pub(super) fn caller(request: &Request<'_>, plan: &DialPlan) -> Caller {
    if is_private(request) {
        return Caller::Withheld;
    }
    let from = request.first(&Name::FROM).unwrap_or_default();
    let said = Caller::parse(from, plan);
    if said == Caller::Withheld && Caller::is_anonymous(from) {
        return Caller::Withheld;
    }
    let trusted: Vec<Identity> = trusted(request, plan).collect();
    if trusted.iter().any(|identity| identity.is_hidden || identity.caller == Caller::Withheld) {
        return Caller::Withheld;
    }
    trusted.iter().map(|identity| identity.caller).find(|caller| caller.number().is_some()).unwrap_or(said)
}

/// Returns the attestation of the caller's number: the weakest `verstat` of the identities with this number. A field of
/// its own, and a parameter after the address, can only lower it. `None` if there is no `verstat`, or one that did not
/// pass.
pub(super) fn attestation(request: &Request<'_>, caller: Caller, plan: &DialPlan) -> Option<Attestation> {
    let from = request.first(&Name::FROM).map(|value| Identity::of(value, Form::WithParameters, plan));
    let same: Vec<Identity> = trusted(request, plan).chain(from).filter(|identity| identity.caller == caller).collect();
    let verified = same.iter().flat_map(|identity| &identity.verdicts).min().copied().flatten();
    let fields = ATTESTATIONS.iter().flat_map(|name| request.all(name)).map(Attestation::named);
    let lowered = same.iter().flat_map(|identity| &identity.lowered).copied();
    lowered.chain(fields).fold(verified, Option::min)
}

/// Returns the identities that the gateway vouches for: P-Asserted-Identity, then Remote-Party-ID of the calling party.
fn trusted(request: &Request<'_>, plan: &DialPlan) -> impl Iterator<Item = Identity> {
    let asserted = identities(request, &ASSERTED, Form::Bare, plan);
    asserted.chain(identities(request, &REMOTE_PARTY, Form::WithParameters, plan).filter(|party| !party.is_callee))
}

fn identities(
    request: &Request<'_>,
    name: &'static Name,
    form: Form,
    plan: &DialPlan,
) -> impl Iterator<Item = Identity> {
    let values = request.all(name).flat_map(|value| split(value, ','));
    values.filter(|value| !value.trim().is_empty()).map(move |value| Identity::of(value, form, plan))
}

/// Returns whether a word of `Privacy` asks to hide the number. A word that no standard has does, too.
fn is_private(request: &Request<'_>) -> bool {
    let words = request.all(&PRIVACY).flat_map(|value| value.split([';', ',']));
    words.map(|word| bare(word).to_ascii_lowercase()).any(|word| !SHOWING.contains(&&*word))
}

/// The words of `Privacy` that do not hide the number (RFC 3323, section 4.2; RFC 7044, section 10.1), and words that are
/// none.
const SHOWING: [&str; 6] = ["", "none", "off", "session", "history", "critical"];

/// How a header field writes an address without angle brackets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The text is the URI with its parameters (RFC 3325, section 9.1).
    Bare,
    /// Parameters belong to the header field (RFC 3261, section 20.10).
    WithParameters,
}

/// One address of a header field, with what its parameters say. All of it is read in one place, so that an unusual
/// address cannot keep its number and lose its privacy.
struct Identity {
    caller: Caller,
    /// What each `verstat` of the URI says about the number. `None` stands for a value that is no attestation.
    verdicts: Vec<Option<Attestation>>,
    /// What each `verstat` after the address says. It belongs into the URI, and here it is not believed if it passed.
    lowered: Vec<Option<Attestation>>,
    /// Whether it asks to hide the number.
    is_hidden: bool,
    /// Whether it is about the called party.
    is_callee: bool,
}

impl Identity {
    fn of(value: &str, form: Form, plan: &DialPlan) -> Self {
        let party = Party::whole(value);
        let address = match party {
            Some(party) if form == Form::WithParameters && !value.contains('<') => party.uri,
            _ => value,
        };
        let mut identity = Self {
            caller: Caller::parse(value, plan),
            verdicts: Attestation::verdicts(address).collect(),
            lowered: Vec::new(),
            is_hidden: false,
            is_callee: false,
        };
        match party {
            Some(party) => {
                party.params().for_each(|param| identity.note(param));
                // Some senders put it into the angle brackets.
                identity.is_hidden |= party.uri_params().filter_map(|param| value_of("privacy", param)).any(hides);
            }
            // In an address that is not well formed, each part between semicolons may be a parameter.
            None => value.split(';').for_each(|param| identity.note(param)),
        }
        identity
    }

    /// Notes what a parameter after the address says.
    fn note(&mut self, param: &str) {
        if let Some(wish) = value_of("privacy", param) {
            self.is_hidden |= hides(wish);
        } else if let Some(party) = value_of("party", param) {
            self.is_callee |= bare(party.split(',').next().unwrap_or_default()).eq_ignore_ascii_case("called");
        } else if let Some(verstat) = value_of("verstat", param) {
            self.lowered.push(Attestation::passed(verstat.trim()));
        }
    }
}

/// Returns the value of a parameter with this name. It is empty if the parameter has none.
fn value_of<'a>(name: &str, param: &'a str) -> Option<&'a str> {
    let (key, value) = param.split_once('=').unwrap_or((param, ""));
    key.trim().eq_ignore_ascii_case(name).then_some(value)
}

/// Returns whether these words of privacy hide the number (draft-ietf-sip-privacy-04). `off` and `name` do not. An
/// unknown word does.
fn hides(words: &str) -> bool {
    bare(words).split(',').any(|word| {
        let word = word.trim().to_ascii_lowercase();
        let wish = word.strip_suffix("-network").unwrap_or(&word);
        !["off", "name", "none", ""].contains(&wish)
    })
}

/// Returns a value without its quotes and the white space around it.
fn bare(value: &str) -> &str {
    value.trim_matches(|c: char| c == '"' || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: &str = "+12125550143";

    fn read(value: &str) -> (bool, bool, bool) {
        let Identity { caller, is_hidden, is_callee, .. } = Identity::of(value, Form::WithParameters, &DialPlan::NONE);
        (caller.number() == NUMBER.parse().ok(), is_hidden, is_callee)
    }

    #[test]
    fn privacy_is_read_with_the_number_however_the_address_is_written() {
        for address in [
            format!("<sip:{NUMBER}@x>"),
            format!("\"Ann\" <sip:{NUMBER}@x;user=phone>"),
            format!("Ann \"B\" <sip:{NUMBER}@x>"),
            format!("\"Ann <sip:{NUMBER}@x>"),
            format!("\"A;party=called\" <sip:{NUMBER}@x>"),
            "<sip:+1 212 555 0143@x>".to_owned(),
            format!("{NUMBER}@x"),
            format!("sip:{NUMBER}@x"),
        ] {
            for (privacy, is_hidden) in [
                ("full", true),
                ("\"full,uri-network\"", true),
                ("\"name,uri\"", true),
                ("FULL", true),
                (" uri ", true),
                ("id", true),
                ("off", false),
                ("name", false),
                ("\"name-network\"", false),
            ] {
                let (_, hidden, _) = read(&format!("{address};privacy={privacy};screen=yes"));
                assert_eq!(hidden, is_hidden, "{address};privacy={privacy}");
            }
            let (_, _, is_callee) = read(&format!("{address};party=called"));
            assert!(is_callee, "{address}");
        }
        assert_eq!(read(&format!("\"privacy=full\" <sip:{NUMBER}@x>;party=calling")), (true, false, false));
        assert_eq!(read(&format!("\"A;party=called\" <sip:{NUMBER}@x>")), (true, false, false));
    }
}
