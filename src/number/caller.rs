//! Who an inbound call says it comes from.

use super::address::Address;
use super::scan::{self, Scan};
use super::{DialPlan, E164, NumberError};

/// The calling party of an inbound call. A missing number is a value, not an error: the call has to go somewhere.
///
/// `Debug` masks as [`E164`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A number that a history can know.
    Number(E164),
    /// The caller, or the network for it, keeps the number back, or there is none.
    Withheld,
    /// Somebody, but nobody whom a number could name: `alice@example.com`, 16 digits, a header cut short.
    Unusable,
}

impl Caller {
    /// Reads a caller id, a From or P-Asserted-Identity header, or a URI, in every shape of [`E164::parse`].
    ///
    /// Withheld are:
    /// * blank texts, empty brackets and quotes, an empty user part, separators alone;
    /// * `anonymous`, `restricted`, `unavailable`, `unknown`, `private`, `withheld` and `blocked`, in any case, as
    ///   the whole text, the user part, or the display name of an address without a number;
    /// * every address at the host `anonymous.invalid` ([RFC 3323], section 4.1.1.3; [RFC 3325]).
    ///
    /// A number behind the display name `Anonymous` counts as the number: the address says who, not the name.
    ///
    /// Cost: no allocation; as [`E164::parse`].
    ///
    /// ```
    /// # use dialback::{Caller, DialPlan, E164};
    /// let caller = |text| Caller::parse(text, &DialPlan::NONE);
    /// assert_eq!(caller("+1 555 123 4567"), Caller::Number(E164::from_digits("15551234567").unwrap()));
    /// assert_eq!(caller("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=x"), Caller::Withheld);
    /// assert_eq!(caller("sip:alice@example.com"), Caller::Unusable);
    /// ```
    ///
    /// [RFC 3323]: https://www.rfc-editor.org/rfc/rfc3323
    /// [RFC 3325]: https://www.rfc-editor.org/rfc/rfc3325
    pub fn parse(text: &str, plan: &DialPlan) -> Caller {
        if let Some(number) = E164::clean(text.as_bytes()) {
            return Caller::Number(number);
        }
        let number = match Scan::of(text, false) {
            Err(NumberError::NotANumber) => {
                let Ok(address) = Address::of(text) else { return Caller::Unusable };
                if is_anonymous_host(address.host) {
                    return Caller::Withheld;
                }
                let says_withheld = address.user.is_some_and(|user| is_withheld_word(user, address.escaped))
                    || is_withheld_word(address.display, false);
                match address.number(plan) {
                    Err(_) if says_withheld => return Caller::Withheld,
                    number => number,
                }
            }
            found => found.and_then(|found| plan.number(&found)),
        };
        match number {
            Ok(number) => Caller::Number(number),
            Err(NumberError::Empty) => Caller::Withheld,
            Err(_) => Caller::Unusable,
        }
    }

    /// The number, if there is one.
    pub fn number(self) -> Option<E164> {
        match self {
            Caller::Number(number) => Some(number),
            Caller::Withheld | Caller::Unusable => None,
        }
    }
}

/// What user agents, switches and carriers put where a number would be.
const WITHHELD: [&str; 7] = ["anonymous", "restricted", "unavailable", "unknown", "private", "withheld", "blocked"];

fn is_withheld_word(text: &str, escaped: bool) -> bool {
    let text = scan::trim(text);
    WITHHELD.iter().any(|word| scan::unescape(text, escaped).map(|c| c.to_ascii_lowercase()).eq(word.chars()))
}

fn is_anonymous_host(host: &str) -> bool {
    let host = scan::trim(host);
    host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case("anonymous.invalid")
}
