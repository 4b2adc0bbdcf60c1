//! The only file of the crate with unsafe code: zeroed memory that appears as it is touched, and the prefetch hint.

#![allow(unsafe_code)]

#[cfg(not(loom))]
pub(crate) use real::{Compare, Region, prefetch, prefetch_registers};

#[cfg(loom)]
pub(crate) use model::{Compare, Region, prefetch, prefetch_registers};

use super::line::Line;
use super::shape::SLOTS;
use crate::sync::{AtomicU32, AtomicU64};

/// What a [`Region`] may be made of.
///
/// # Safety
/// All bits zero must be a valid value, and the type must have no destructor and be shareable between threads.
pub(crate) unsafe trait Zeroed: Sync + Send {
    #[cfg(loom)]
    fn zeroed() -> Self;
}

// SAFETY: an atomic integer has the layout of its integer, for which zero is a value; it has no destructor.
unsafe impl Zeroed for AtomicU32 {
    #[cfg(loom)]
    fn zeroed() -> Self {
        AtomicU32::new(0)
    }
}

// SAFETY: as above.
unsafe impl Zeroed for AtomicU64 {
    #[cfg(loom)]
    fn zeroed() -> Self {
        AtomicU64::new(0)
    }
}

// SAFETY: a line is an array of atomic integers without padding.
unsafe impl Zeroed for Line {
    #[cfg(loom)]
    fn zeroed() -> Self {
        Line::new()
    }
}

/// What is at `at`, which is in the slice. Unlike plain indexing it keeps the length in no register for a message.
#[inline(always)]
pub(crate) fn within<T>(slice: &[T], at: usize) -> &T {
    #[cold]
    #[inline(never)]
    fn outside() -> ! {
        panic!("outside of a region");
    }
    slice.get(at).unwrap_or_else(|| outside())
}

#[cfg(not(loom))]
mod real {
    use super::{Line, SLOTS, Zeroed};
    use crate::sync::{AtomicU64, Ordering};
    use memmap2::{MmapMut, MmapOptions};
    use std::io;
    use std::marker::PhantomData;
    use std::num::NonZeroU16;
    use std::ops::Deref;
    use std::ptr::NonNull;

    /// Zeroed memory whose pages appear when they are first touched.
    pub(crate) struct Region<T> {
        start: NonNull<T>,
        len: usize,
        // Unmapped when the region goes.
        _map: MmapMut,
        _owns: PhantomData<T>,
    }

    /// The size of a huge page here, and the alignment of a region that wants them.
    const HUGE: usize = 2 << 20;

    impl<T: Zeroed> Region<T> {
        /// Memory for `len` values. Takes address space only; with `huge`, asks for huge pages where the system has them.
        pub(crate) fn new(len: usize, huge: bool) -> io::Result<Region<T>> {
            let align = if huge { HUGE } else { align_of::<T>() };
            let bytes = len
                .checked_mul(size_of::<T>())
                .and_then(|bytes| bytes.checked_add(align))
                .ok_or(io::ErrorKind::OutOfMemory)?;
            // `no_reserve_swap`: the ceiling is address space, not a promise; memory is counted as it is touched.
            let mut map = MmapOptions::new().len(bytes).no_reserve_swap().map_anon()?;
            #[cfg(target_os = "linux")]
            if huge {
                // Only a hint: without huge pages everything works, a little slower.
                let _ = map.advise(memmap2::Advice::HugePage);
            }
            let skipped = map.as_mut_ptr().align_offset(align);
            let start = NonNull::from(&mut map[skipped..][..len * size_of::<T>()]).cast();
            Ok(Region { start, len, _map: map, _owns: PhantomData })
        }
    }

    impl<T> Deref for Region<T> {
        type Target = [T];

        #[inline(always)]
        fn deref(&self) -> &[T] {
            // SAFETY: `start` is aligned for `T` and begins `len` of them inside the map, by the slicing in `new`, the
            // only constructor. The map lives as long as `self`, is never resized or handed out, and its address does
            // not change when `self` moves. The bytes are zero or were written through `&T`, so they are valid `T`s
            // (`T: Zeroed`, asked for by `new`). All access is through shared references.
            unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
        }
    }

    // SAFETY: a region owns its memory and gives out only `&[T]`; `T: Zeroed` is `Send + Sync`.
    unsafe impl<T: Zeroed> Send for Region<T> {}
    // SAFETY: as above.
    unsafe impl<T: Zeroed> Sync for Region<T> {}

    /// Bits that a comparison gives for each word: so many come out of the fewest instructions. Of two bytes of them each
    /// bit is a slot's.
    const HIT_BITS: u32 = u16::BITS / SLOTS as u32;

    /// How the key words of a line are compared: what the processor can was asked once, not at each lookup.
    #[derive(Clone, Copy)]
    pub(crate) struct Compare {
        /// Whether there is AVX.
        #[cfg(all(target_arch = "x86_64", not(scalar)))]
        wide: bool,
    }

    impl Compare {
        /// The first of the words that is `key` where `mask` has ones, looked for as by [`hits`](Self::hits).
        #[inline(always)]
        pub(crate) fn first(self, words: &[AtomicU64; SLOTS], key: u64, mask: u64) -> Option<usize> {
            let hits = NonZeroU16::new(self.hits(words, key, mask))?;
            Some((hits.trailing_zeros() / HIT_BITS) as usize)
        }

        pub(crate) fn detect() -> Compare {
            Compare {
                #[cfg(all(target_arch = "x86_64", not(scalar)))]
                wide: std::arch::is_x86_feature_detected!("avx"),
            }
        }

        /// [`HIT_BITS`] bits for each of the words that is `key` where `mask` has ones. Every word is loaded once, relaxed.
        ///
        /// No branch that depends on *which* word it is: it would be guessed wrong every other time, and a wrong guess on a
        /// word that is still on its way costs a whole memory read. And few instructions that wait for the words: they,
        /// not the memory, limit how many lookups are under way at once.
        #[inline(always)]
        fn hits(self, words: &[AtomicU64; SLOTS], key: u64, mask: u64) -> u16 {
            #[cfg(all(target_arch = "x86_64", not(scalar)))]
            if self.wide {
                use std::arch::x86_64::{__m128i, _mm_set1_epi64x};
                const { assert!(SLOTS == 8 && align_of::<Line>() >= 64) };
                // SAFETY: SSE2 is part of every x86-64.
                let (key, mask): (__m128i, __m128i) =
                    unsafe { (_mm_set1_epi64x(key as i64), _mm_set1_epi64x(mask as i64)) };
                let hits: u32;
                // SAFETY: the instructions exist (`wide` is private to this module and only `detect` sets it) and only read the
                // 64 bytes behind the reference, which begin a line, so all loads are aligned. Other threads may write the
                // words meanwhile: that is no data race, because processors with AVX do aligned 16-byte loads in one piece
                // (AMD64 APM 2, 7.3.2; Intel SDM 3A, 9.1.1, promises it of moves, and an operand in memory is loaded as a
                // move loads it), so each word is what a relaxed atomic load of it would give. Nothing here needs two words
                // to be of one moment.
                unsafe {
                    std::arch::asm!(
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
                        words = in(reg) words.as_ptr(),
                        mask = in(xmm_reg) mask,
                        key = in(xmm_reg) key,
                        a = out(xmm_reg) _,
                        b = out(xmm_reg) _,
                        c = out(xmm_reg) _,
                        d = out(xmm_reg) _,
                        hits = out(reg) hits,
                        options(nostack, readonly, preserves_flags),
                    );
                }
                return hits as u16;
            }
            let hits = (0..SLOTS).fold(0, |hits, slot| {
                hits | u16::from((words[slot].load(Ordering::Relaxed) ^ key) & mask == 0) << (slot as u32 * HIT_BITS)
            });
            // Hidden from the compiler, which would make branches of it.
            std::hint::black_box(hits)
        }
    }

    /// Asks for both cache lines of the line to be brought near.
    #[inline(always)]
    pub(crate) fn prefetch(line: &Line) {
        prefetch_at(line.keys());
        prefetch_at(line.registers());
    }

    /// The same for its registers alone, where the key words are loaded at once.
    #[inline(always)]
    pub(crate) fn prefetch_registers(line: &Line) {
        prefetch_at(line.registers());
    }

    /// Changes nothing that a program can see.
    #[inline(always)]
    fn prefetch_at(line: *const [AtomicU64; SLOTS]) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch of any address is allowed.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(line.cast());
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: `prfm` is a hint without effect on memory or registers.
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) line, options(nostack, readonly, preserves_flags));
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let _ = line;
    }
}

#[cfg(loom)]
mod model {
    use super::{Line, SLOTS, Zeroed};
    use crate::sync::{AtomicU64, Ordering};
    use std::io;

    pub(crate) struct Region<T>(Vec<T>);

    impl<T: Zeroed> Region<T> {
        pub(crate) fn new(len: usize, _huge: bool) -> io::Result<Region<T>> {
            Ok(Region((0..len).map(|_| T::zeroed()).collect()))
        }
    }

    impl<T> std::ops::Deref for Region<T> {
        type Target = [T];
        fn deref(&self) -> &[T] {
            &self.0
        }
    }

    pub(crate) fn prefetch(_: &Line) {}

    pub(crate) fn prefetch_registers(_: &Line) {}

    #[derive(Clone, Copy)]
    pub(crate) struct Compare;

    impl Compare {
        pub(crate) fn detect() -> Compare {
            Compare
        }

        pub(crate) fn first(self, words: &[AtomicU64; SLOTS], key: u64, mask: u64) -> Option<usize> {
            (0..SLOTS).find(|&slot| (words[slot].load(Ordering::Relaxed) ^ key) & mask == 0)
        }
    }
}
