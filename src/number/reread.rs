//! Finds the number that was meant, where an earlier dial plan read it wrongly.

use super::regional;
use super::{DialPlan, E164};

impl DialPlan {
    /// Returns the number that a stored number should be, if an earlier dial plan read it wrongly and this plan of a
    /// region would not. `None` if it should stay, if it is not clear which number was meant, or if the plan has no
    /// region.
    ///
    /// # Examples
    /// ```
    /// # use dialback::{DialPlan, E164};
    /// let russia = DialPlan::of_region("RU")?;
    /// let number = |text| E164::parse_international(text);
    /// // 812 1234567 lost its 8 as if it were the national prefix.
    /// assert_eq!(russia.reread(number("+7121234567")?), Some(number("+78121234567")?));
    /// assert_eq!(russia.reread(number("+78121234567")?), None);
    /// # Ok::<(), dialback::NumberError>(())
    /// ```
    pub fn reread(&self, stored: E164) -> Option<E164> {
        self.region().and_then(|_| meant(self, stored))
    }
}

/// Returns the number that `stored` should be under the plan of a region. `None` if it should stay.
///
/// The text from which a stored number was read is not kept. So this looks at the texts that an earlier plan may have
/// read as this number: its digits, and its national part with and without the national prefix. The number changes if
/// it is not in the metadata, and exactly one of these texts now gives a number that is.
fn meant(plan: &DialPlan, stored: E164) -> Option<E164> {
    let digits = stored.digits();
    if !stored.is_international() || digits.len() <= plan.longest_short_code() {
        return E164::parse(&digits, plan).ok().filter(|read| *read != stored);
    }
    let settled = regional::settled(stored, digits.as_bytes());
    if settled != stored {
        return Some(settled);
    }
    if regional::is_valid(stored) {
        return None;
    }
    let national = digits.strip_prefix(plan.country_code()).unwrap_or_default();
    let texts = [digits.to_string(), national.to_owned(), format!("{}{national}", plan.national_prefix())];
    let read = texts.iter().filter_map(|text| E164::parse(text, plan).ok());
    let mut meant: Vec<E164> = read.filter(|read| *read != stored && regional::is_valid(*read)).collect();
    meant.sort_unstable();
    meant.dedup();
    match meant.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}
