//! Memory of the caller's: what is read from it and written to it.
//!
//! What is promised here by every caller in C is written once, in the header: a pointer that is not null is aligned, is good for as
//! much as its length or its size field says, and nobody else writes there while the call runs.
#![allow(unsafe_code)]

use super::status::{Failure, Status};
use super::types::{CallReport, DecisionOut, Options, Question, Recorded, StatisticsOut, Text};
use std::ffi::c_char;
use std::marker::PhantomData;
use std::ptr;
use std::slice;

/// The most that a structure can ever grow to. What claims to be larger was not initialised.
const LARGEST: usize = 4096;

/// The bytes of a text.
///
/// # Safety
/// `bytes` is null, or good for `len` bytes that nobody changes for as long as `'a`.
#[inline]
pub(super) unsafe fn bytes<'a>(bytes: *const c_char, len: usize) -> Result<&'a [u8], Failure> {
    if bytes.is_null() {
        return if len == 0 { Ok(&[]) } else { Err(Status::Null.into()) };
    }
    if isize::try_from(len).is_err() {
        return Err(Status::InvalidArgument.into());
    }
    // SAFETY: not null, and good for so many bytes by this function's contract; no longer than anything can be.
    Ok(unsafe { slice::from_raw_parts(bytes.cast(), len) })
}

/// The bytes of a text.
///
/// # Safety
/// As for [`bytes`].
#[inline]
pub(super) unsafe fn text<'a>(text: Text) -> Result<&'a [u8], Failure> {
    // SAFETY: as this function's.
    unsafe { bytes(text.bytes, text.len) }
}

/// What C may hand over as a structure with its size in front.
///
/// # Safety
/// The type is `repr(C)`, begins with its size as a `u32`, and is valid whatever its bytes are.
pub(super) unsafe trait Sized32: Copy {}

// SAFETY: `repr(C)`, the size in front, numbers and pointers only; so are those below.
unsafe impl Sized32 for Options {}
// SAFETY: as above.
unsafe impl Sized32 for CallReport {}
// SAFETY: as above.
unsafe impl Sized32 for Recorded {}
// SAFETY: as above.
unsafe impl Sized32 for DecisionOut {}
// SAFETY: as above.
unsafe impl Sized32 for StatisticsOut {}

/// The size that the structure says it has: at least what the first version had, which today is all of it.
///
/// # Safety
/// `structure` is null or good for reading a `u32`.
#[inline]
unsafe fn size<T: Sized32>(structure: *const T) -> Result<usize, Failure> {
    if structure.is_null() {
        return Err(Status::Null.into());
    }
    if !structure.is_aligned() {
        return Err(Failure::new(Status::InvalidArgument, "a structure that is not aligned"));
    }
    // SAFETY: not null, and good for it by the contract.
    let size = unsafe { structure.cast::<u32>().read() } as usize;
    if (size_of::<T>()..=LARGEST).contains(&size) && size.is_multiple_of(align_of::<T>()) {
        Ok(size)
    } else {
        Err(Failure::new(Status::InvalidArgument, "the size field of a structure is not its size"))
    }
}

/// Structures that the caller fills, one behind the other as far as the first's size says.
///
/// # Safety
/// `first` is null, or good for `count` structures of the size that the first one says.
pub(super) unsafe fn read_all<T: Sized32>(
    first: *const T,
    count: usize,
) -> Result<impl ExactSizeIterator<Item = Result<T, Failure>>, Failure> {
    let stride = if count == 0 {
        0
    } else {
        // SAFETY: as this function's.
        unsafe { size(first)? }
    };
    check_extent(stride, count)?;
    Ok((0..count).map(move |index| {
        // SAFETY: within the `count` structures of this size.
        let structure = unsafe { first.byte_add(index * stride) };
        // SAFETY: as above.
        if unsafe { size(structure)? } != stride {
            return Err(Failure::new(Status::InvalidArgument, "structures of different sizes"));
        }
        // SAFETY: it is there and aligned, and any bytes are a valid one (`Sized32`).
        Ok(unsafe { structure.read() })
    }))
}

/// As [`read_all`], of one.
///
/// # Safety
/// As for [`read_all`].
pub(super) unsafe fn read<T: Sized32>(structure: *const T) -> Result<T, Failure> {
    // SAFETY: `size` looks at no more than this function's contract allows; what is read then is there.
    unsafe {
        size(structure)?;
        Ok(structure.read())
    }
}

/// The questions of a batch.
///
/// # Safety
/// `first` is null or good for `count` questions that nobody changes for as long as `'a`.
pub(super) unsafe fn questions<'a>(first: *const Question, count: usize) -> Result<&'a [Question], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if first.is_null() {
        return Err(Status::Null.into());
    }
    if !first.is_aligned() {
        return Err(Failure::new(Status::InvalidArgument, "a structure that is not aligned"));
    }
    check_extent(size_of::<Question>(), count)?;
    // SAFETY: not null, aligned, good for so many by the contract, no longer than anything can be.
    Ok(unsafe { slice::from_raw_parts(first, count) })
}

fn check_extent(stride: usize, count: usize) -> Result<(), Failure> {
    let bytes = stride.checked_mul(count).and_then(|bytes| isize::try_from(bytes).ok());
    bytes.map(|_| ()).ok_or_else(|| Failure::new(Status::InvalidArgument, "more than there can be"))
}

/// Where structures are to be written.
pub(super) struct Out<'a, T> {
    first: *mut T,
    count: usize,
    stride: usize,
    /// The same, as it is written into each.
    size: u32,
    _lent: PhantomData<&'a mut T>,
}

impl<T: Sized32> Out<'_, T> {
    /// One structure.
    ///
    /// # Safety
    /// As for [`all`](Self::all).
    #[inline]
    pub(super) unsafe fn one(structure: *mut T) -> Result<Self, Failure> {
        // SAFETY: as this function's.
        let stride = unsafe { size(structure)? };
        Ok(Self::new(structure, 1, stride))
    }

    /// So many, one behind the other as far as the first's size says.
    ///
    /// # Safety
    /// `first` is null, or good for writing `count` structures of the size that the first one says, which nobody else
    /// touches while this lives.
    pub(super) unsafe fn all(first: *mut T, count: usize) -> Result<Self, Failure> {
        // SAFETY: as this function's.
        let stride = if count == 0 { 0 } else { unsafe { size(first)? } };
        check_extent(stride, count)?;
        Ok(Self::new(first, count, stride))
    }

    #[inline]
    fn new(first: *mut T, count: usize, stride: usize) -> Self {
        Self { first, count, stride, size: u32::try_from(stride).unwrap_or(0), _lent: PhantomData }
    }

    /// Writes one of them, and zeros where it is larger than this version knows.
    ///
    /// # Panics
    /// Beyond the last.
    #[inline]
    pub(super) fn put(&mut self, index: usize, value: T) {
        assert!(index < self.count, "there is a place for it");
        // SAFETY: within the `count` structures of `stride` bytes, each at least as large as `T` and as aligned (`size` has
        // looked at the first, and `stride` is a multiple of the alignment), that the maker of this promised.
        unsafe {
            let place = self.first.byte_add(index * self.stride);
            place.write(value);
            place.cast::<u32>().write(self.size);
            if self.stride > size_of::<T>() {
                place.cast::<u8>().add(size_of::<T>()).write_bytes(0, self.stride - size_of::<T>());
            }
        }
    }
}

/// Writes a value where it is wanted: null is nowhere.
///
/// # Safety
/// `place` is null, or aligned and good for writing a `T`.
pub(super) unsafe fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: not null, and good for it by the contract.
        unsafe { place.write(value) };
    }
}

/// Writes a text and a NUL into the buffer, and how long the two are where that is wanted. Writes nothing of a text that has no room.
///
/// # Safety
/// `buffer` is null or good for writing `capacity` bytes; `needed` as for [`put`].
pub(super) unsafe fn put_text(
    text: &str,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> Result<(), Failure> {
    // SAFETY: as this function's.
    unsafe { put(needed, text.len() + 1) };
    if capacity <= text.len() || buffer.is_null() {
        return Err(Status::ShortBuffer.into());
    }
    // SAFETY: the buffer is good for more bytes than the text has, and is no part of it: Rust lent the text.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), text.len());
        buffer.add(text.len()).write(0);
    }
    Ok(())
}
