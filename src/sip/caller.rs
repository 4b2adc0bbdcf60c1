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
/// * `Privacy` contains `id`, `user` or `header` (RFC 3323, section 4.2).
/// * From is at `anonymous.invalid`, or contains `anonymous` and no number.
/// * A Remote-Party-ID of the calling party asks for it.
/// * The first asserted identity is withheld.
///
/// An asserted identity without a number, such as an account, does not end the search.
pub(super) fn caller(request: &Request<'_>, plan: &DialPlan) -> Caller {
    if is_private(request) {
        return Caller::Withheld;
    }
    let from = request.first(&Name::FROM).unwrap_or_default();
    let said = Caller::parse(from, plan);
    if said == Caller::Withheld && from.to_ascii_lowercase().contains("anonymous") {
        return Caller::Withheld;
    }
    let asserted = best(identities(request, &ASSERTED, plan).map(|identity| identity.caller));
    let parties: Vec<Identity> = identities(request, &REMOTE_PARTY, plan).filter(|party| !party.is_callee).collect();
    if asserted == Some(Caller::Withheld) || parties.iter().any(|party| party.is_hidden) {
        return Caller::Withheld;
    }
    let remote = best(parties.iter().map(|party| party.caller));
    best([asserted, remote, Some(said)].into_iter().flatten()).unwrap_or(said)
}

/// Returns the attestation of the caller's number: the weakest `verstat` of the identities with this number. A field of
/// its own can only lower it. `None` if there is no `verstat`, or one that did not pass.
pub(super) fn attestation(request: &Request<'_>, caller: Caller, plan: &DialPlan) -> Option<Attestation> {
    let from = request.first(&Name::FROM).map(|value| Identity::of(value, plan));
    let identities = identities(request, &ASSERTED, plan).chain(identities(request, &REMOTE_PARTY, plan)).chain(from);
    let same = identities.filter(|identity| identity.caller == caller && !identity.is_callee);
    let verified = same.flat_map(|identity| identity.verdicts).min().flatten();
    let named = ATTESTATIONS.iter().flat_map(|name| request.all(name)).map(Attestation::named).min();
    named.map_or(verified, |named| named.min(verified))
}

/// Returns the first caller with a number, else the first. `None` if there are no callers.
fn best(callers: impl Iterator<Item = Caller>) -> Option<Caller> {
    let mut callers = callers.peekable();
    let first = callers.peek().copied();
    callers.find(|caller| caller.number().is_some()).or(first)
}

fn identities(request: &Request<'_>, name: &'static Name, plan: &DialPlan) -> impl Iterator<Item = Identity> {
    let values = request.all(name).flat_map(|value| split(value, ','));
    values.filter(|value| !value.trim().is_empty()).map(|value| Identity::of(value, plan))
}

fn is_private(request: &Request<'_>) -> bool {
    let words = request.all(&PRIVACY).flat_map(|value| value.split([';', ',']));
    words.map(str::trim).any(|word| ["id", "user", "header"].iter().any(|wish| wish.eq_ignore_ascii_case(word)))
}

/// One address of a header field, with what its parameters say. All of it is read in one place, so that an unusual
/// address cannot keep its number and lose its privacy.
struct Identity {
    caller: Caller,
    /// What each `verstat` says about the number. `None` stands for a value that is no attestation.
    verdicts: Vec<Option<Attestation>>,
    /// Whether it asks to hide the number.
    is_hidden: bool,
    /// Whether it is about the called party.
    is_callee: bool,
}

impl Identity {
    fn of(value: &str, plan: &DialPlan) -> Self {
        // In an address that is not well formed, each part between semicolons may be a parameter.
        let (address, params) = match Party::split(value) {
            Some((address, params)) => (address, split(params, ';').collect::<Vec<_>>()),
            None => (value, value.split(';').collect()),
        };
        let (caller, verdicts) = (Caller::parse(address, plan), Attestation::verdicts(address).collect());
        let mut identity = Self { caller, verdicts, is_hidden: false, is_callee: false };
        for param in params {
            let (key, wish) = param.split_once('=').unwrap_or((param, ""));
            match key.trim().to_ascii_lowercase().as_str() {
                "privacy" => identity.is_hidden |= hides(wish),
                "party" => {
                    let party = wish.split(',').next().unwrap_or_default();
                    identity.is_callee |= bare(party).eq_ignore_ascii_case("called");
                }
                _ => {}
            }
        }
        identity
    }
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
        let Identity { caller, is_hidden, is_callee, .. } = Identity::of(value, &DialPlan::NONE);
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
