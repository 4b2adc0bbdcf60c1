//! How the key words of a line are compared with the one that is sought, a vector of them at a time.
//!
//! Unsafe code, because these instructions have no safe names. What limits how many lookups are under way at once is how many
//! whole-number registers each of them writes (`benches/window.rs`); vectors have registers of their own. So a [`Key`] comes in
//! parts and is put together where it is compared.

#![allow(unsafe_code)]

#[cfg(all(target_arch = "x86_64", not(any(loom, scalar))))]
pub(crate) use vectors::{Whole, Wide};
#[cfg(not(all(target_arch = "x86_64", not(any(loom, scalar)))))]
pub(crate) use words::{Absent as Whole, Absent as Wide};

use super::shape::{Key, SLOTS, UNMARKED, marks};
use crate::sync::{AtomicU64, Ordering};

/// A way to compare.
pub(crate) trait Compare: Copy {
    /// The first of the words that is the key where [`UNMARKED`] has ones. Every word is loaded once, relaxed.
    ///
    /// No branch that depends on *which* word it is: it would be guessed wrong every other time, and a wrong guess on a
    /// word that is still on its way costs a whole memory read.
    fn first(self, words: &[AtomicU64; SLOTS], key: Key) -> Option<usize>;

    /// Whether the words have both overflow marks of this key.
    #[inline(always)]
    fn is_marked(self, words: &[AtomicU64; SLOTS], key: Key) -> bool {
        marks(key).into_iter().all(|(slot, bit)| words[slot].load(Ordering::Relaxed) >> bit & 1 != 0)
    }
}

/// One word after the other.
#[derive(Clone, Copy)]
pub(crate) struct Words;

impl Compare for Words {
    #[inline(always)]
    fn first(self, words: &[AtomicU64; SLOTS], key: Key) -> Option<usize> {
        let key = key.word();
        let hits = (0..SLOTS).fold(0, |hits, slot| {
            hits | u32::from((words[slot].load(Ordering::Relaxed) ^ key) & UNMARKED == 0) << slot
        });
        // Hidden from the compiler, which would make branches of it.
        let hits = std::hint::black_box(hits);
        (hits != 0).then(|| hits.trailing_zeros() as usize % SLOTS)
    }
}

/// As wide as loads are promised to be in one piece: 16 bytes where the processor has AVX, a word everywhere else.
impl Compare for Option<Wide> {
    #[inline(always)]
    fn first(self, words: &[AtomicU64; SLOTS], key: Key) -> Option<usize> {
        match self {
            Some(wide) => wide.first(words, key),
            None => Words.first(words, key),
        }
    }
}

#[cfg(all(target_arch = "x86_64", not(any(loom, scalar))))]
mod vectors {
    use super::{AtomicU64, Compare, Key, SLOTS, UNMARKED};
    use crate::history::line::Line;
    use crate::history::shape::{CHUNK_BITS, MARK_AT, UNIT, mark_numbers};
    use std::arch::asm;
    use std::arch::x86_64::{__m128i, _mm_cvtsi64_si128, _mm_set1_epi64x};
    use std::hint::assert_unchecked;

    const _: () = assert!(SLOTS == 8 && align_of::<Line>() >= 64, "a line's key words are a cache line");

    /// 16 bytes at a time. Only made where the processor has AVX.
    #[derive(Clone, Copy)]
    pub(crate) struct Wide(());

    /// All eight words at once, for reads. Only made where the processor has AVX-512, and a newer one: the first lowered their
    /// clocks for it.
    #[derive(Clone, Copy)]
    pub(crate) struct Whole(());

    impl Wide {
        pub(crate) fn detect() -> Option<Wide> {
            is_x86_feature_detected!("avx").then_some(Wide(()))
        }
    }

    impl Whole {
        pub(crate) fn detect() -> Option<Whole> {
            let has = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bitalg")
                // Nothing here needs it; the first did not have it.
                && is_x86_feature_detected!("avx512vbmi2");
            has.then_some(Whole(()))
        }
    }

    #[inline(always)]
    fn vector(low: u64) -> __m128i {
        // SAFETY: SSE2 is part of every x86-64.
        unsafe { _mm_cvtsi64_si128(low as i64) }
    }

    #[inline(always)]
    fn twice(word: u64) -> __m128i {
        // SAFETY: as above.
        unsafe { _mm_set1_epi64x(word as i64) }
    }

    impl Compare for Wide {
        #[inline(always)]
        fn first(self, words: &[AtomicU64; SLOTS], key: Key) -> Option<usize> {
            let hits: u32;
            // SAFETY: the instructions exist (nobody but `detect` makes a `Wide`) and only read the 64 bytes behind the reference, which
            // begin a line, so all loads are aligned. Other threads may write the words meanwhile: that is no data race, because
            // processors with AVX do aligned 16-byte loads in one piece (AMD64 APM 2, 7.3.2; Intel SDM 3A, 9.1.1, promises it
            // of moves, and an operand in memory is loaded as a move loads it), so each word is what a relaxed atomic load of it would
            // give. Nothing here needs two words to be of one moment.
            unsafe {
                asm!(
                    "vpsllq {key}, {left}, {bits}",
                    "vpxor {key}, {key}, {rest}",
                    "vpunpcklqdq {key}, {key}, {key}",
                    "vpxor {key}, {key}, {unit}",
                    "vpand {a}, {mask}, xmmword ptr [{words}]",
                    "vpand {b}, {mask}, xmmword ptr [{words} + 16]",
                    "vpand {c}, {mask}, xmmword ptr [{words} + 32]",
                    "vpand {d}, {mask}, xmmword ptr [{words} + 48]",
                    "vpcmpeqq {a}, {a}, {key}",
                    "vpcmpeqq {b}, {b}, {key}",
                    "vpcmpeqq {c}, {c}, {key}",
                    "vpcmpeqq {d}, {d}, {key}",
                    "vpackssdw {a}, {a}, {b}",
                    "vpackssdw {c}, {c}, {d}",
                    "vpacksswb {a}, {a}, {c}",
                    "vpmovmskb {hits:e}, {a}",
                    bits = const CHUNK_BITS,
                    words = in(reg) words.as_ptr(),
                    left = in(xmm_reg) vector(key.left),
                    rest = in(xmm_reg) vector(key.rest),
                    unit = in(xmm_reg) twice(UNIT),
                    mask = in(xmm_reg) twice(UNMARKED),
                    key = out(xmm_reg) _,
                    a = out(xmm_reg) _,
                    b = out(xmm_reg) _,
                    c = out(xmm_reg) _,
                    d = out(xmm_reg) _,
                    hits = out(reg) hits,
                    options(nostack, readonly, preserves_flags),
                );
            }
            if hits == 0 {
                return None;
            }
            // Two bits a slot: so many come out of the fewest instructions.
            let bits = hits.trailing_zeros();
            // SAFETY: each byte of the vector is all ones or all zeros, two bytes are a word's, and there are sixteen.
            unsafe { assert_unchecked(bits.is_multiple_of(2) && bits < 16) };
            Some(bits as usize / 2)
        }
    }

    impl Compare for Whole {
        #[inline(always)]
        fn first(self, words: &[AtomicU64; SLOTS], key: Key) -> Option<usize> {
            let hits: u32;
            // SAFETY: the instructions exist (nobody but `detect` makes a `Whole`) and only read the 64 bytes behind the reference,
            // which are a cache line. Other threads may write the words meanwhile, and no vendor promises that a load of over 16
            // bytes takes each aligned word in one piece. That it does, runtimes of other languages rely on: they copy arrays of
            // references so, which must not be torn. Here a torn word would hardly matter. In a table's life a word becomes a
            // key, from zero, or gets marks, which are masked out; so it could only be taken for a key that has zeros in
            // place of some bytes of the one being claimed. Of any two pairs that share a line, one is such a key of the other
            // with a chance of less than 2^-27, by a mix that nobody outside knows. A write, whose mistake would stay,
            // compares 16 bytes at a time.
            unsafe {
                asm!(
                    "vpbroadcastq zmm16, {left}",
                    "vpsllq zmm16, zmm16, {bits}",
                    "vpbroadcastq zmm17, {rest}",
                    // Exclusive or of all three, which is the key; then what differs from it, and where nothing does.
                    "vpternlogq zmm16, zmm17, qword ptr [rip + {unit}]{{1to8}}, 0x96",
                    "vpxorq zmm16, zmm16, zmmword ptr [{words}]",
                    "vptestnmq k1, zmm16, qword ptr [rip + {mask}]{{1to8}}",
                    "kmovb {hits:e}, k1",
                    bits = const CHUNK_BITS,
                    words = in(reg) words.as_ptr(),
                    left = in(reg) key.left,
                    rest = in(reg) key.rest,
                    unit = sym UNITS,
                    mask = sym UNMARKEDS,
                    hits = out(reg) hits,
                    out("zmm16") _,
                    out("zmm17") _,
                    out("k1") _,
                    options(nostack, readonly, preserves_flags),
                );
            }
            if hits == 0 {
                return None;
            }
            let slot = hits.trailing_zeros();
            // SAFETY: a bit for each of eight words.
            unsafe { assert_unchecked(slot < 8) };
            Some(slot as usize)
        }

        #[inline(always)]
        fn is_marked(self, words: &[AtomicU64; SLOTS], key: Key) -> bool {
            let marks: u64;
            // SAFETY: as for `first`; a mark is one bit, which cannot be torn.
            unsafe {
                asm!(
                    "vmovdqa64 zmm16, zmmword ptr [{words}]",
                    "vpshufbitqmb k1, zmm16, zmmword ptr [rip + {numbers}]",
                    "kmovq {marks}, k1",
                    words = in(reg) words.as_ptr(),
                    numbers = sym NUMBERED,
                    marks = out(reg) marks,
                    out("zmm16") _,
                    out("k1") _,
                    options(nostack, readonly, preserves_flags),
                );
            }
            // The second is seldom asked for: few lines have a stranger's first.
            mark_numbers(key).into_iter().all(|number| marks.wrapping_shr(number as u32) & 1 != 0)
        }
    }

    /// For each number of a mark, word by word, the bit that it is. Read by the instruction alone.
    #[repr(align(64))]
    struct Numbered(#[allow(dead_code)] [[u8; 8]; SLOTS]);

    static NUMBERED: Numbered = {
        let (first, second) = (MARK_AT as u8, MARK_AT as u8 + 1);
        Numbered([[first, first, first, first, second, second, second, second]; SLOTS])
    };

    // What a vector is made of as it is used, without a register of its own.
    static UNITS: u64 = UNIT;
    static UNMARKEDS: u64 = UNMARKED;
}

/// No processor has it.
#[cfg(not(all(target_arch = "x86_64", not(any(loom, scalar)))))]
mod words {
    use super::{AtomicU64, Compare, Key, SLOTS};

    #[derive(Clone, Copy)]
    pub(crate) enum Absent {}

    impl Absent {
        pub(crate) fn detect() -> Option<Absent> {
            None
        }
    }

    impl Compare for Absent {
        fn first(self, _: &[AtomicU64; SLOTS], _: Key) -> Option<usize> {
            match self {}
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::line::SEALED;
    use super::super::shape::{MARK_AT, MAX_CHUNKS, SPACE_MASK, Version, within};
    use super::*;
    use proptest::prelude::*;

    /// Key words as a line has them, of which some are near to the key that is sought.
    fn line(key: Key, words: [(u64, u8); SLOTS]) -> super::super::line::Line {
        super::super::line::Line::of(words.map(|(word, kind)| match kind {
            0 => 0,
            1 => key.word(),
            2 => key.word() | (word & 3) << MARK_AT,
            3 => key.word() ^ 1 << (word % 64),
            4 => SEALED,
            _ => word,
        }))
    }

    proptest! {
        #[test]
        fn all_ways_agree(
            place in any::<u64>(),
            scope in 0..1u32 << 24,
            chunks in 1..=MAX_CHUNKS,
            further in any::<bool>(),
            words in any::<[(u64, u8); SLOTS]>().prop_map(|words| words.map(|(word, kind)| (word, kind % 8))),
        ) {
            let version = Version::new(1, 0, chunks);
            let mut seek = version.seek(scope, within(place & SPACE_MASK));
            if further {
                seek = version.step(seek);
            }
            let line = line(seek.key, words);
            for key in [seek.key, Key::EMPTY] {
                let expected = (0..SLOTS).find(|&slot| (line.keys()[slot].load(Ordering::Relaxed) ^ key.word()) & UNMARKED == 0);
                prop_assert_eq!(Words.first(line.keys(), key), expected);
                prop_assert_eq!(Wide::detect().first(line.keys(), key), expected);
                if let Some(whole) = Whole::detect() {
                    prop_assert_eq!(whole.first(line.keys(), key), expected);
                    prop_assert_eq!(whole.is_marked(line.keys(), key), Words.is_marked(line.keys(), key));
                }
            }
        }
    }
}
