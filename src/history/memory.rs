//! Unsafe code for memory: zeroed, and there as it is touched; and hints to the processor and to the compiler.

#![allow(unsafe_code)]

#[cfg(not(loom))]
pub(crate) use real::{Array, Region, prefetch, prefetch_registers, settled};

#[cfg(loom)]
pub(crate) use model::{Array, Region, prefetch, prefetch_registers, settled};

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
    use crate::sync::AtomicU64;
    use memmap2::{MmapMut, MmapOptions};
    use std::io;
    use std::marker::PhantomData;
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

    /// A region whose length is known when this is compiled, so that what lies in it for sure needs no check.
    pub(crate) struct Array<T, const N: usize>(Region<T>);

    impl<T: Zeroed, const N: usize> Array<T, N> {
        /// Address space for `N` values, of which the first `used` may come into use.
        pub(crate) fn new(used: usize) -> io::Result<Array<T, N>> {
            debug_assert!(used <= N);
            Ok(Array(Region::new(N, false)?))
        }
    }

    impl<T, const N: usize> Deref for Array<T, N> {
        type Target = [T; N];

        #[inline(always)]
        fn deref(&self) -> &[T; N] {
            // SAFETY: as for the region, which was made for `N` values by `new`, the only constructor.
            unsafe { &*self.0.start.as_ptr().cast() }
        }
    }

    // SAFETY: a region owns its memory and gives out only `&[T]`; `T: Zeroed` is `Send + Sync`.
    unsafe impl<T: Zeroed> Send for Region<T> {}
    // SAFETY: as above.
    unsafe impl<T: Zeroed> Sync for Region<T> {}

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

    /// The same line, at an address that the compiler takes as given. It would add it up anew for each use, and each sum is one
    /// more register (`benches/window.rs`).
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    #[allow(clippy::pointers_in_nomem_asm_block, reason = "nothing is behind it for the block, which is empty")]
    pub(crate) fn settled(line: &Line) -> &Line {
        let mut at: *const Line = line;
        // SAFETY: no instruction. What comes out is the pointer that went in, made from a reference that lives as long.
        unsafe {
            std::arch::asm!("/* {at} */", at = inout(reg) at, options(pure, nomem, nostack, preserves_flags));
            &*at
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    #[inline(always)]
    pub(crate) fn settled(line: &Line) -> &Line {
        line
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

    pub(crate) struct Array<T, const N: usize>(Region<T>);

    impl<T: Zeroed, const N: usize> Array<T, N> {
        pub(crate) fn new(used: usize) -> io::Result<Array<T, N>> {
            Ok(Array(Region::new(used, false)?))
        }
    }

    impl<T, const N: usize> std::ops::Deref for Array<T, N> {
        type Target = [T];
        fn deref(&self) -> &[T] {
            &self.0
        }
    }

    pub(crate) fn settled(line: &Line) -> &Line {
        line
    }

    pub(crate) fn prefetch(_: &Line) {}

    pub(crate) fn prefetch_registers(_: &Line) {}
}
