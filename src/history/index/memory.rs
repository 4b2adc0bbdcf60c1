//! Unsafe code for zeroed memory that the system provides on first access, and for hints to the processor and the
//! compiler.

#![allow(unsafe_code)]

#[cfg(not(loom))]
pub(crate) use real::{Region, prefetch, prefetch_of_many, prefetch_registers};

#[cfg(loom)]
pub(crate) use model::{Region, prefetch, prefetch_of_many, prefetch_registers};

use super::compare::settled;
use super::line::Line;
use super::shape::{CHUNK_LINES, DIRECTORY};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use std::io;

/// A type that a [`Region`] may contain.
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

// SAFETY: an atomic integer has the layout of its integer, for which zero is a value; it has no destructor.
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

/// The size of a chunk of lines in bytes.
pub(crate) const CHUNK_BYTES: usize = CHUNK_LINES * size_of::<Line>();

/// The lines, in chunks, and the directories of all tables, whose entries say where chunks begin. Both are in one type,
/// because the check at the write of an entry makes an unchecked lookup of a line sound.
pub(crate) struct Chunks {
    lines: Region<Line>,
    /// For each entry, the number of bytes from the first line to its chunk. An entry that was never written is zero,
    /// which is a chunk too.
    directory: Region<AtomicU64>,
}

impl Chunks {
    /// The reserved bytes of all directories.
    pub(crate) const DIRECTORY_BYTES: usize = DIRECTORY * size_of::<AtomicU64>();

    /// Reserves address space for `chunks` chunks, at least one, and for all directories. `entries` of their entries
    /// may come into use.
    pub(crate) fn new(chunks: usize, entries: usize) -> io::Result<Chunks> {
        assert!(chunks > 0, "an entry that was never written names a chunk");
        debug_assert!(entries <= DIRECTORY);
        // As many entries as a version can name, so that a lookup needs no bounds check. A model's memory is allocated
        // at once.
        let entries = if cfg!(loom) { entries } else { DIRECTORY };
        // The lines of a small history are a few small pages.
        let lines = Region::new(chunks * CHUNK_LINES, !cfg!(small))?;
        Ok(Chunks { lines, directory: Region::new(entries, false)? })
    }

    /// Returns the lines of a chunk.
    pub(crate) fn lines(&self, chunk: usize) -> &[Line] {
        &self.lines[chunk * CHUNK_LINES..][..CHUNK_LINES]
    }

    /// Makes an entry refer to the chunk.
    pub(crate) fn put(&self, entry: usize, chunk: usize) {
        assert!(chunk < self.lines.len() / CHUNK_LINES, "a chunk that there is");
        // Relaxed: published with the version word.
        self.directory[entry].store((chunk * CHUNK_BYTES) as u64, Ordering::Relaxed);
    }

    /// Returns the chunk that an entry refers to.
    pub(crate) fn at(&self, entry: usize) -> usize {
        self.directory[entry].load(Ordering::Relaxed) as usize / CHUNK_BYTES
    }

    /// Returns a line of the chunk that an entry refers to. Its number in the chunk is `line` modulo the lines of a
    /// chunk.
    #[inline(always)]
    #[cfg(not(loom))]
    pub(crate) fn line(&self, entry: usize, line: u64) -> &Line {
        // The compiler removes this check: a version's entry is always below the bound.
        assert!(entry < DIRECTORY);
        let within = (line as usize % CHUNK_LINES) * size_of::<Line>();
        // SAFETY: the directory was created with `DIRECTORY` entries.
        let chunk = unsafe { self.directory.get_unchecked(entry) }.load(Ordering::Relaxed) as usize;
        // SAFETY: an entry is zero or was written by `put`. The beginning of a chunk plus an offset within a chunk is
        // therefore, in bytes, the place of a line among the lines, which live as long as `self`.
        settled(unsafe { &*self.lines.as_ptr().byte_add(chunk + within) })
    }

    #[cfg(loom)]
    pub(crate) fn line(&self, entry: usize, line: u64) -> &Line {
        &self.lines(self.at(entry))[line as usize % CHUNK_LINES]
    }
}

#[cfg(not(loom))]
mod real {
    use super::super::shape::SLOTS;
    use super::{Line, Zeroed};
    use crate::sync::AtomicU64;
    use memmap2::{MmapMut, MmapOptions};
    use std::io;
    use std::marker::PhantomData;
    use std::ops::Deref;
    use std::ptr::NonNull;

    /// Zeroed memory whose pages the system provides on first access.
    pub(crate) struct Region<T> {
        start: NonNull<T>,
        len: usize,
        // Unmapped when the region is dropped.
        _map: MmapMut,
        _owns: PhantomData<T>,
    }

    /// The size of a huge page, and the alignment of a region that requests huge pages.
    const HUGE: usize = 2 << 20;

    impl<T: Zeroed> Region<T> {
        /// Reserves memory for `len` values, as address space only. With `huge`, requests huge pages if the system has
        /// them.
        pub(crate) fn new(len: usize, huge: bool) -> io::Result<Region<T>> {
            let align = if huge { HUGE } else { align_of::<T>() };
            let bytes = len
                .checked_mul(size_of::<T>())
                .and_then(|bytes| bytes.checked_add(align))
                .ok_or(io::ErrorKind::OutOfMemory)?;
            // `no_reserve_swap`: the maximum is address space and not a promise. Memory is counted when it is accessed.
            let mut map = MmapOptions::new().len(bytes).no_reserve_swap().map_anon()?;
            #[cfg(target_os = "linux")]
            if huge {
                // A hint only: without huge pages everything works, but a little slower.
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
            // (`T: Zeroed`, which `new` requires). All access is through shared references.
            unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
        }
    }

    // SAFETY: a region owns its memory and gives out only `&[T]`; `T: Zeroed` is `Send + Sync`.
    unsafe impl<T: Zeroed> Send for Region<T> {}
    // SAFETY: a region owns its memory and gives out only `&[T]`; `T: Zeroed` is `Send + Sync`.
    unsafe impl<T: Zeroed> Sync for Region<T> {}

    /// Prefetches both cache lines of the line.
    #[inline(always)]
    pub(crate) fn prefetch(line: &Line) {
        prefetch_at::<true>(line.keys());
        prefetch_at::<true>(line.registers());
    }

    /// Prefetches the registers of the line, for a caller that loads the key words at once.
    #[inline(always)]
    pub(crate) fn prefetch_registers(line: &Line) {
        prefetch_at::<true>(line.registers());
    }

    /// Prefetches both cache lines of the line into the second-level cache, for a caller that requests many lines. More
    /// such prefetches can be outstanding than into the first-level cache. A batch over ten million pairs takes a
    /// twelfth less time with them.
    #[inline(always)]
    pub(crate) fn prefetch_of_many(line: &Line) {
        prefetch_at::<false>(line.keys());
        prefetch_at::<false>(line.registers());
    }

    /// Prefetches into the first-level or the second-level cache. Has no effect that a program can observe.
    #[inline(always)]
    fn prefetch_at<const FIRST: bool>(line: *const [AtomicU64; SLOTS]) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch of any address is allowed.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
            if FIRST { _mm_prefetch::<_MM_HINT_T0>(line.cast()) } else { _mm_prefetch::<_MM_HINT_T1>(line.cast()) }
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: `prfm` is a hint without effect on memory or registers.
        unsafe {
            if FIRST {
                std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) line, options(nostack, readonly, preserves_flags));
            } else {
                std::arch::asm!("prfm pldl2keep, [{0}]", in(reg) line, options(nostack, readonly, preserves_flags));
            }
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let _ = line;
    }
}

#[cfg(loom)]
mod model {
    use super::{Line, Zeroed};
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

    pub(crate) fn prefetch_of_many(_: &Line) {}

    pub(crate) fn prefetch_registers(_: &Line) {}
}
