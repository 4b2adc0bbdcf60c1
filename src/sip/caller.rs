//! Finds the caller of an INVITE: P-Asserted-Identity, else Remote-Party-ID, else From (RFC 3325). Only messages of
//! trusted peers are read here.

use super::message::Request;
use super::party::{Party, split};
use crate::number::{Caller, DialPlan};
use ezk_sip_types::Name;

static ASSERTED: Name = Name::custom("P-Asserted-Identity", &["p-asserted-identity"]);
static REMOTE_PARTY: Name = Name::custom("Remote-Party-ID", &["remote-party-id"]);
static PRIVACY: Name = Name::custom("Privacy", &["privacy"]);

/// Returns the caller of an INVITE. National numbers are read with `plan`.
///
/// The caller is withheld in these cases, even if the network asserts an identity:
/// * `Privacy` contains `id`, `user` or `header` (RFC 3323, section 4.2).
/// * From is at `anonymous.invalid`, or contains `anonymous` and no number.
///
/// Without an asserted identity, `privacy=full` or `privacy=uri` of the Remote-Party-ID withholds the caller too.
pub(super) fn caller(request: &Request<'_>, plan: &DialPlan) -> Caller {
    if is_private(request) {
        return Caller::Withheld;
    }
    let from = request.first(&Name::FROM).unwrap_or_default();
    let said = Caller::parse(from, plan);
    if said == Caller::Withheld && from.to_ascii_lowercase().contains("anonymous") {
        return Caller::Withheld;
    }
    if let Some(asserted) = best(request.all(&ASSERTED).flat_map(|value| split(value, ',')), plan) {
        return asserted;
    }
    let parties = request.all(&REMOTE_PARTY).flat_map(|value| split(value, ','));
    let callers: Vec<&str> = parties.filter(|party| !is_about_callee(party)).collect();
    if callers.iter().any(|party| is_hidden(party)) {
        return Caller::Withheld;
    }
    best(callers.into_iter(), plan).unwrap_or(said)
}

/// Returns the first address with a number, else the result for the first address. `None` if there are no addresses.
fn best<'a>(parties: impl Iterator<Item = &'a str>, plan: &DialPlan) -> Option<Caller> {
    let mut parties =
        parties.filter(|party| !party.trim().is_empty()).map(|party| Caller::parse(party, plan)).peekable();
    let first = parties.peek().copied();
    parties.find(|party| party.number().is_some()).or(first)
}

fn is_private(request: &Request<'_>) -> bool {
    let words = request.all(&PRIVACY).flat_map(|value| value.split([';', ',']));
    words.map(str::trim).any(|word| ["id", "user", "header"].iter().any(|wish| wish.eq_ignore_ascii_case(word)))
}

/// Returns whether the address hides its number: `full` and `uri` do, `name` and `off` do not
/// (draft-ietf-sip-privacy-04).
fn is_hidden(party: &str) -> bool {
    let wish = Party::of(party).and_then(|party| party.param("privacy"));
    wish.is_some_and(|wish| {
        wish.trim_matches('"')
            .split('-')
            .any(|word| ["full", "uri"].iter().any(|hides| hides.eq_ignore_ascii_case(word)))
    })
}

fn is_about_callee(party: &str) -> bool {
    Party::of(party).and_then(|party| party.param("party")).is_some_and(|party| party.eq_ignore_ascii_case("called"))
}
