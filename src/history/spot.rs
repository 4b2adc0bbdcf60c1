//! The place of a pair in the key space, known before its scope is.

use crate::number::{CODE_BITS, E164};
use std::hash::{BuildHasher, RandomState};

/// The place of a pair in the key space: a keyed mix of its contact and its owner. With the owner, it can be reversed.
///
/// It is computed from the dialed number and the contact alone, so the line can be prefetched before the dialed number
/// has been looked up in the plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spot(u64);

impl Spot {
    pub(crate) const fn from_place(place: u64) -> Spot {
        Spot(place)
    }

    #[inline(always)]
    pub(crate) const fn place(self) -> u64 {
        self.0
    }
}

/// A keyed, reversible mix of 50-bit contacts, one for each owner.
///
/// The mix is reversible, so a table keeps only what the position of a line does not say. It is keyed for each process,
/// so an attacker cannot choose contacts that collide in one line.
pub(crate) struct Mix {
    /// Odd factors. The owners' factor is used as it is, because owners' codes are at the top of a word. The other two
    /// are themselves shifted to the top. Either way, a product stays in the top bits.
    home: u64,
    factors: [u64; 2],
    /// The inverses of the other two factors, at the bottom of a word.
    undone: [u64; 2],
}

const BELOW: u32 = E164::FREE_BITS;
const HALF: u32 = CODE_BITS / 2;

impl Mix {
    /// Returns a mix with keys of this process.
    pub(crate) fn random() -> Mix {
        // The standard library's keys come from the system's random source, so no further dependency is needed.
        let state = RandomState::new();
        Mix::new([0, 1, 2].map(|word: u64| state.hash_one(word)))
    }

    pub(crate) fn new(keys: [u64; 3]) -> Mix {
        let factors = [keys[1] | 1, keys[2] | 1];
        Mix { home: keys[0] | 1, factors: factors.map(|odd| odd << BELOW), undone: factors.map(inverse) }
    }

    /// Returns the spot of an owner and a contact, which are given as [words](E164::word).
    ///
    /// Folds and multiplies, twice. A product is at the top of the word. There it drops by itself what 50 bits cannot
    /// hold, and the bits that select the line depend on all other bits. A fold brings it down again. The owner is
    /// added before the first fold, with carries that an attacker cannot predict. With an exclusive or instead,
    /// contacts could be crafted whose folds have zeros in the lower half, and two products would not suffice for
    /// those.
    #[inline(always)]
    pub(crate) fn spot(&self, owner: u64, contact: u64) -> Spot {
        let [first, second] = self.factors;
        let code = contact.wrapping_add(self.home(owner));
        Spot(fold(fold(code).wrapping_mul(first)).wrapping_mul(second))
    }

    /// Returns the code of the contact at `spot` of `owner`.
    pub(crate) fn contact(&self, owner: u64, spot: Spot) -> u64 {
        let [first, second] = self.undone;
        let unfold = |code| fold(code) << BELOW;
        let code = unfold(unfold(spot.0.wrapping_mul(second)).wrapping_mul(first));
        code.wrapping_sub(self.home(owner)) >> BELOW
    }

    #[inline(always)]
    fn home(&self, owner: u64) -> u64 {
        owner.wrapping_mul(self.home)
    }
}

/// Combines the upper half of the code at the top of a word with its lower half, by exclusive or, at the bottom. A
/// second fold undoes it, except for the position. Two shifts take one instruction less than a shift and a mask.
#[inline(always)]
const fn fold(code: u64) -> u64 {
    code >> BELOW ^ code >> (BELOW + HALF)
}

/// Returns the inverse of an odd factor, modulo 2^64.
const fn inverse(odd: u64) -> u64 {
    // Newton's step doubles the number of correct bits, which is 5 at the start.
    let mut undone = odd.wrapping_mul(3) ^ 2;
    let mut round = 0;
    while round < 4 {
        undone = undone.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(undone)));
        round += 1;
    }
    undone
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::index::shape::SPACE_MASK;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_spot_and_its_owner_give_the_contact_back(keys in any::<[u64; 3]>(), owner in 1..1u64 << 50, contact in 1..1u64 << 50) {
            let mix = Mix::new(keys);
            let owner = owner << BELOW;
            let spot = mix.spot(owner, contact << BELOW);
            prop_assert_eq!(spot.place() & !SPACE_MASK, 0);
            prop_assert_eq!(mix.contact(owner, spot), contact);
        }
    }

    /// Returns how far the numbers of pairs per line are from a random distribution: chi squared, in standard
    /// deviations.
    fn unevenness(spots: impl Iterator<Item = u64>) -> f64 {
        let mut lines = vec![0u32; 1 << 16];
        let mut pairs = 0f64;
        for place in spots {
            lines[(place >> 48) as usize] += 1;
            pairs += 1.0;
        }
        let expected = pairs / lines.len() as f64;
        let chi: f64 = lines.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        (chi - (lines.len() - 1) as f64) / (2.0 * (lines.len() - 1) as f64).sqrt()
    }

    #[test]
    fn crafted_contacts_spread_like_random_ones() {
        for round in 0..4u64 {
            let mix = Mix::random();
            let pair = |owner: u64, contact: u64| mix.spot(owner << BELOW, contact << BELOW).place();
            let at = |contact| pair(15_551_234_567, contact);
            let n = 1u64 << 18;
            // The codes that the first fold would turn into these, without the addition before it.
            let unfolded = |code: u64| at(fold(code << BELOW));
            let sets: [(&str, f64); 6] = [
                ("consecutive", unevenness((1..=n).map(|i| at(4_915_100_000_000 + i)))),
                ("same low bits", unevenness((1..=n).map(|i| at(i << 30 | 0x1234_5678)))),
                ("hundreds", unevenness((1..=n).map(|i| at(i * 1_000_000)))),
                ("upper digits behind the fold", unevenness((1..=n).map(|i| unfolded(i << 30)))),
                ("few upper digits behind the fold", unevenness((1..=n).map(|i| unfolded(i << 32)))),
                ("numbers by contacts", unevenness((0..n).map(|i| pair(4_930_000_000 + i / 64, 1 + i % 64)))),
            ];
            for (what, deviations) in sets {
                // A distribution that is more even than a random one does no harm. The last set has few independent
                // parts, so its bound is wider. With an exclusive or in place of the addition, the sets before it
                // exceed 500 in every third process.
                let most = if what == "numbers by contacts" || what.ends_with("fold") { 60.0 } else { 8.0 };
                assert!(deviations < most, "{what}, round {round}: {deviations}");
            }
        }
    }
}
