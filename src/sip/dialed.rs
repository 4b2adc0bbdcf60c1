//! Finds the dialed number of an INVITE: the Request-URI, or the number in another field if the operator asks for it.

use super::message::Request;
use super::party::{Party, split};
use super::settings::DialedFrom;
use super::trail::{DIVERSION, HISTORY};
use crate::inbound::Arrival;
use crate::plan::Plan;
use ezk_sip_types::Name;

/// The largest number of diversions that are read. Longer lists are loops.
const MOST: usize = 10;

/// Returns the call to the first address that is a number of the plan. If none is, the call is to the Request-URI.
/// `None` if that is not a number either.
pub(super) fn arrival<'p>(plan: &'p Plan, request: &Request<'_>, from: DialedFrom) -> Option<Arrival<'p>> {
    let ours = |uri: &str| Arrival::read(plan, uri).ok().filter(|arrival| arrival.environment().is_some());
    let found = match from {
        DialedFrom::RequestUri => None,
        DialedFrom::To => request.first(&Name::TO).and_then(address).and_then(ours),
        DialedFrom::Diversion => diversions(request).find_map(ours),
    };
    found.or_else(|| Arrival::read(plan, request.uri).ok())
}

/// Returns the addresses that the call was going to before, the oldest first. The oldest entry of History-Info is the
/// first, and that of Diversion the last (RFC 7044, section 9; RFC 5806, section 5).
fn diversions<'a>(request: &'a Request<'_>) -> impl Iterator<Item = &'a str> {
    let history = request.all(&HISTORY).flat_map(|value| split(value, ','));
    let mut newest_first: Vec<&str> = request.all(&DIVERSION).flat_map(|value| split(value, ',')).collect();
    newest_first.reverse();
    history.take(MOST).chain(newest_first.into_iter().take(MOST)).filter_map(address)
}

fn address(value: &str) -> Option<&str> {
    Party::of(value).map(|party| party.uri)
}
