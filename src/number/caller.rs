//! The calling party of an inbound call.

use super::address::Address;
use super::scan::{self, Scan};
use super::{DialPlan, E164, NumberError, withheld};

/// The calling party of an inbound call. A missing number is a value, not an error, because the call must still be
/// routed.
///
/// `Debug` masks the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A number that the history can hold.
    Number(E164),
    /// The caller or the network withholds the number, or there is none.
    Withheld,
    /// A caller without a usable number: `alice@example.com`, 16 digits, a truncated header.
    Unusable,
}

impl Caller {
    /// Reads a caller id, a From or P-Asserted-Identity header, or a URI, in any form that [`E164::parse`] accepts.
    ///
    /// The result is `Withheld` for:
    /// * blank texts, empty brackets and quotes, an empty user part, and separators alone;
    /// * `anonymous`, `restricted`, `unavailable`, `unknown`, `private`, `withheld` and `blocked`, in any case, as
    ///   the whole text, the user part, or the display name of an address without a number;
    /// * four zeros and more, and the words typed on a keypad: `+266696687` for `anonymous`;
    /// * each address at the host `anonymous.invalid` ([RFC 3323], section 4.1.1.3; [RFC 3325]).
    ///
    /// A number with the display name `Anonymous` counts as the number, because the address has precedence over the
    /// name.
    ///
    /// # Cost
    /// That of [`E164::parse`].
    ///
    /// # Examples
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
            return Caller::of_clean(plan.settled(number, text));
        }
        let number = match Scan::of(text, false) {
            Err(NumberError::NotANumber) => {
                let Ok(address) = Address::of(text) else { return Caller::Unusable };
                if is_anonymous_host(address.host) {
                    return Caller::Withheld;
                }
                let says_withheld = address.user.is_some_and(|user| withheld::is_word(user, address.escaped))
                    || withheld::is_word(address.display, false);
                match address.number(plan) {
                    Err(_) if says_withheld => return Caller::Withheld,
                    number => number,
                }
            }
            found => found.and_then(|found| plan.number(&found)),
        };
        match number.and_then(E164::unless_withheld) {
            Ok(number) => Caller::Number(number),
            Err(NumberError::Empty | NumberError::Withheld) => Caller::Withheld,
            Err(_) => Caller::Unusable,
        }
    }

    /// Returns whether a text that [`parse`](Self::parse) reads as withheld asks for it by the word `anonymous`: written,
    /// with percent escapes, or typed on a keypad.
    #[cfg(feature = "sip")]
    pub(crate) fn is_anonymous(text: &str) -> bool {
        let plain: String = scan::unescape(text, true).collect();
        let user = Address::of(text).ok().and_then(|address| Scan::of(scan::trim(address.user?), address.escaped).ok());
        plain.to_ascii_lowercase().contains("anonymous")
            || user.is_some_and(|found| found.digits().is_ok_and(withheld::is_anonymous))
    }

    /// Returns the caller with a number that [`E164::clean`] has read.
    #[inline]
    pub(crate) fn of_clean(number: E164) -> Caller {
        if withheld::is_look_alike(number) { Caller::Withheld } else { Caller::Number(number) }
    }

    /// Returns the number, if there is one.
    pub fn number(self) -> Option<E164> {
        match self {
            Caller::Number(number) => Some(number),
            Caller::Withheld | Caller::Unusable => None,
        }
    }
}

fn is_anonymous_host(host: &str) -> bool {
    let host = scan::trim(host);
    host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case("anonymous.invalid")
}
