//! Compares the key words of a line with the sought key, several words with one vector instruction.
//!
//! The code is unsafe because these instructions have no safe interface. The number of lookups that overlap is limited
//! by the number of general-purpose registers that each of them writes (`benches/window.rs`). Vectors have registers of
//! their own. A [`Key`] therefore consists of parts, which are combined where they are compared.

#![allow(unsafe_code)]

#[cfg(all(target_arch = "x86_64", not(any(loom, scalar))))]
pub(crate) use vectors::{Whole, Wide};
#[cfg(not(all(target_arch = "x86_64", not(any(loom, scalar)))))]
pub(crate) use words::{Absent as Whole, Absent as Wide};

use super::shape::{Key, SLOTS, UNMARKED, marks};
use crate::sync::{AtomicU64, Ordering};

/// A way to compare the words of a line.
pub(crate) trait Compare: Copy {
    /// Returns the slot of the first word that equals the key in the bits of [`UNMARKED`]. Loads each word once,
    /// relaxed.
    ///
    /// Does not branch on *which* word it is. The processor would predict such a branch wrongly half of the time. A
    /// wrong prediction on a word that is still being loaded costs a whole memory access.
    fn first(self, words: &[AtomicU64; SLOTS], key: Key) -> Option<usize>;

    /// Returns whether the words have both overflow marks of this key.
    #[inline(always)]
    fn is_marked(self, words: &[AtomicU64; SLOTS], key: Key) -> bool {
        marks(key).into_iter().all(|(slot, bit)| words[slot].load(Ordering::Relaxed) >> bit & 1 != 0)
    }
}

/// Compares one word after another.
#[derive(Clone, Copy)]
pub(crate) struct Words;

impl Compare for Words {
    #[inline(always)]
    fn first(self, words: &[AtomicU64; SLOTS], key: Key) -> Option<usize> {
        let key = key.word();
        let hits = (0..SLOTS).fold(0, |hits, slot| {
            hits | u32::from((words[slot].load(Ordering::Relaxed) ^ key) & UNMARKED == 0) << slot
        });
        // Hidden from the compiler, which would turn this into branches.
        let hits = std::hint::black_box(hits);
        (hits != 0).then(|| hits.trailing_zeros() as usize % SLOTS)
    }
}

/// Compares as many bytes as a load reads atomically: 16 bytes if the processor has AVX, otherwise one word.
impl Compare for Option<Wide> {
    #[inline(always)]
    fn first(self, words: &[AtomicU64; SLOTS], key: Key) -> Option<usize> {
        match self {
            Some(wide) => wide.first(words, key),
            None => Words.first(words, key),
        }
    }
}

/// Returns the reference unchanged, at an address that the compiler treats as given. Otherwise the compiler would
/// compute the address anew for each use, and each computation takes one more register (`benches/window.rs`).
#[cfg(all(target_arch = "x86_64", not(any(loom, scalar))))]
#[inline(always)]
#[allow(clippy::pointers_in_nomem_asm_block, reason = "nothing is behind it for the block, which is empty")]
pub(crate) fn settled<T>(line: &T) -> &T {
    let mut at: *const T = line;
    // SAFETY: the assembly has no instruction. The pointer that comes out is the one that went in, made from a
    // reference that lives as long.
    unsafe {
        std::arch::asm!("/* {at} */", at = inout(reg) at, options(pure, nomem, nostack, preserves_flags));
        &*at
    }
}

#[cfg(not(all(target_arch = "x86_64", not(any(loom, scalar)))))]
#[inline(always)]
pub(crate) fn settled<T>(line: &T) -> &T {
    line
}

#[cfg(all(target_arch = "x86_64", not(any(loom, scalar))))]
mod vectors {
    use super::{AtomicU64, Compare, Key, SLOTS, UNMARKED};
    use crate::history::index::shape::{CHUNK_BITS, MARK_AT, UNIT, mark_numbers};
    use std::arch::asm;
    use std::arch::x86_64::{__m128i, _mm_cvtsi64_si128, _mm_set1_epi64x};
    use std::hint::assert_unchecked;

    const _: () = assert!(SLOTS == 8, "a line's key words are a cache line");

    /// Compares 16 bytes at a time. Exists only if the processor has AVX.
    #[derive(Clone, Copy)]
    pub(crate) struct Wide(());

    /// Compares all eight words at once, for reads. Exists only if the processor has AVX-512 and is not one of the
    /// first with it, which lowered their clock for such instructions.
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
                // Not used here. Requiring it excludes the first AVX-512 processors, which lower their clock.
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
        // SAFETY: SSE2 is part of every x86-64.
        unsafe { _mm_set1_epi64x(word as i64) }
    }

    impl Compare for Wide {
        #[inline(always)]
        fn first(self, words: &[AtomicU64; SLOTS], key: Key) -> Option<usize> {
            let hits: u32;
            // SAFETY: the instructions exist, because only `detect` makes a `Wide`. They only read the 64 bytes behind
            // the reference, which begin a line, so all loads are aligned. Other threads may write the words at the
            // same time. That is no data race: processors with AVX do aligned 16-byte loads atomically (AMD64 APM 2,
            // 7.3.2; Intel SDM 3A, 9.1.1). Intel promises it for moves, and a memory operand is loaded as a move loads
            // it. Each word is therefore the result of a relaxed atomic load. No two words need to be of the same
            // moment.
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
            // Two bits for each slot, because this form takes the fewest instructions.
            let bits = hits.trailing_zeros();
            // SAFETY: each byte of the vector is all ones or all zeros, a word has two bytes, and there are sixteen
            // bytes.
            unsafe { assert_unchecked(bits.is_multiple_of(2) && bits < 16) };
            Some(bits as usize / 2)
        }
    }

    impl Compare for Whole {
        #[inline(always)]
        fn first(self, words: &[AtomicU64; SLOTS], key: Key) -> Option<usize> {
            let hits: u32;
            // SAFETY: the instructions exist, because only `detect` makes a `Whole`. They only read the 64 bytes behind
            // the reference, which are a cache line. Other threads may write the words at the same time, and no vendor
            // promises that a load of more than 16 bytes reads each aligned word atomically. The runtimes of other
            // languages rely on it: they copy arrays of references this way, and a reference must not be torn. Here a
            // torn word would hardly matter. During a table's life, a word changes from zero to a key, or gets marks,
            // which are masked out. A torn word could therefore only look like a key that has zeros in place of some
            // bytes of the key being written. Of any two pairs that share a line, one is such a key of the other with a
            // probability below 2^-27, because the mix that makes the keys is secret. A write, whose mistake would be
            // permanent, compares 16 bytes at a time.
            unsafe {
                asm!(
                    "vpbroadcastq zmm16, {left}",
                    "vpsllq zmm16, zmm16, {bits}",
                    "vpbroadcastq zmm17, {rest}",
                    // Combine the three parts into the key. Then find the differing bits, and the words that have none.
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
            // SAFETY: `hits` has one bit for each of the eight words.
            unsafe { assert_unchecked(slot < 8) };
            Some(slot as usize)
        }

        #[inline(always)]
        fn is_marked(self, words: &[AtomicU64; SLOTS], key: Key) -> bool {
            let marks: u64;
            // SAFETY: the instructions exist and read only the line, as in `first`. A mark is one bit, which cannot be
            // torn.
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
            // The second mark is rarely tested: few lines have another pair's first mark.
            mark_numbers(key).into_iter().all(|number| marks.wrapping_shr(number as u32) & 1 != 0)
        }
    }

    /// For each number of a mark, word by word, the bit that it stands for. Only the instruction reads it.
    #[repr(align(64))]
    struct Numbered(#[allow(dead_code)] [[u8; 8]; SLOTS]);

    static NUMBERED: Numbered = {
        let (first, second) = (MARK_AT as u8, MARK_AT as u8 + 1);
        Numbered([[first, first, first, first, second, second, second, second]; SLOTS])
    };

    // Constants that the instructions broadcast from memory, so that they occupy no registers.
    static UNITS: u64 = UNIT;
    static UNMARKEDS: u64 = UNMARKED;
}

/// No vector comparison exists for this target.
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
    use super::super::shape::{MARK_AT, MAX_CHUNKS, SCOPE_BITS, SPACE_MASK, Version, within};
    use super::*;
    use proptest::prelude::*;

    /// Key words as a line can have them. Some of them are close to the sought key.
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
        fn vector_and_word_comparisons_agree(
            place in any::<u64>(),
            scope in 0..1u32 << SCOPE_BITS,
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
