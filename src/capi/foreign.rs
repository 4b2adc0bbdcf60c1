//! Reads from and writes to memory that belongs to the C caller.
//!
//! The header states once what every C caller must guarantee: a pointer that is not null is aligned and valid for the
//! length, or the structure size, that comes with it, and no other thread writes there during the call.
#![allow(unsafe_code)]

use super::status::{Failure, Status};
use super::types::{
    CallBehind, CallReport, DecisionOut, DetailedCall, Options, Question, Recorded, StatisticsOut, Text,
};
use std::ffi::c_char;
use std::marker::PhantomData;
use std::ptr;
use std::slice;

/// The largest size that any structure may ever have. A larger size field means that the structure was not
/// initialised.
const LARGEST: usize = 4096;

/// Returns the bytes of a text that is passed as a pointer and a length.
///
/// # Errors
/// `Null` if the pointer is null and the length is not 0. `InvalidArgument` if no object can be `len` bytes long.
///
/// # Safety
/// `bytes` is null, or valid for reads of `len` bytes that do not change during `'a`.
#[inline]
pub(super) unsafe fn bytes<'a>(bytes: *const c_char, len: usize) -> Result<&'a [u8], Failure> {
    if bytes.is_null() {
        return if len == 0 { Ok(&[]) } else { Err(Status::Null.into()) };
    }
    if isize::try_from(len).is_err() {
        return Err(Status::InvalidArgument.into());
    }
    // SAFETY: `bytes` is not null, is valid for `len` bytes by the caller's contract, and `len` fits `isize`.
    Ok(unsafe { slice::from_raw_parts(bytes.cast(), len) })
}

/// Returns the bytes of a [`Text`].
///
/// # Errors
/// The errors of [`bytes`].
///
/// # Safety
/// The pointer and length of `text` meet the contract of [`bytes`].
#[inline]
pub(super) unsafe fn text<'a>(text: Text) -> Result<&'a [u8], Failure> {
    // SAFETY: this function has the contract of `bytes`.
    unsafe { bytes(text.bytes, text.len) }
}

/// A structure that C passes with its own size as the first field.
///
/// # Safety
/// The type is `repr(C)`, begins with its size as a `u32`, and is valid whatever its bytes are.
pub(super) unsafe trait Sized32: Copy {}

// SAFETY: the type is `repr(C)`, its first field is the size, and its other fields are numbers and pointers.
unsafe impl Sized32 for Options {}
// SAFETY: the reason given for `Options` holds here too.
unsafe impl Sized32 for CallReport {}
// SAFETY: the reason given for `Options` holds here too.
unsafe impl Sized32 for DetailedCall {}
// SAFETY: the reason given for `Options` holds here too.
unsafe impl Sized32 for CallBehind {}
// SAFETY: the reason given for `Options` holds here too.
unsafe impl Sized32 for Recorded {}
// SAFETY: the reason given for `Options` holds here too.
unsafe impl Sized32 for DecisionOut {}
// SAFETY: the reason given for `Options` holds here too.
unsafe impl Sized32 for StatisticsOut {}

/// Reads the size field of a structure and checks it. It must be at least the size that this version knows, at most
/// [`LARGEST`], and a multiple of the alignment.
///
/// # Errors
/// `Null` if the pointer is null; `InvalidArgument` if it is not aligned or the size is wrong.
///
/// # Safety
/// `structure` is null or valid for reading a `u32`.
#[inline]
unsafe fn size<T: Sized32>(structure: *const T) -> Result<usize, Failure> {
    if structure.is_null() {
        return Err(Status::Null.into());
    }
    if !structure.is_aligned() {
        return Err(Failure::new(Status::InvalidArgument, "a structure is not aligned for its type"));
    }
    // SAFETY: the pointer is not null, and valid for reading a `u32` by the caller's contract.
    let size = unsafe { structure.cast::<u32>().read() } as usize;
    if (size_of::<T>()..=LARGEST).contains(&size) && size.is_multiple_of(align_of::<T>()) {
        Ok(size)
    } else {
        Err(Failure::new(
            Status::InvalidArgument,
            "the size field of a structure is wrong: set it to sizeof the structure",
        ))
    }
}

/// Reads an array of structures. The size field of the first one gives the distance between elements.
///
/// # Errors
/// The array fails as a whole if its first size field is wrong or the array is too long for memory. An element fails
/// if its size field differs from the first.
///
/// # Safety
/// `first` is null, or valid for reading `count` structures of the size that the first one states.
pub(super) unsafe fn read_all<T: Sized32>(
    first: *const T,
    count: usize,
) -> Result<impl ExactSizeIterator<Item = Result<T, Failure>>, Failure> {
    let stride = if count == 0 {
        0
    } else {
        // SAFETY: this function's contract covers the size field of the first structure.
        unsafe { size(first)? }
    };
    check_extent(stride, count)?;
    Ok((0..count).map(move |index| {
        // SAFETY: the offset is within the `count` structures of this size.
        let structure = unsafe { first.byte_add(index * stride) };
        // SAFETY: `structure` points into the array that the caller's contract covers.
        if unsafe { size(structure)? } != stride {
            return Err(Failure::new(
                Status::InvalidArgument,
                "the structures of the array have different size fields",
            ));
        }
        // SAFETY: the structure is readable and aligned, and every bit pattern is valid for it (`Sized32`).
        Ok(unsafe { structure.read() })
    }))
}

/// Reads one structure.
///
/// # Errors
/// `Null` if the pointer is null; `InvalidArgument` if it is not aligned or its size field is wrong.
///
/// # Safety
/// `structure` is null, or valid for reading a structure of the size that it states.
pub(super) unsafe fn read<T: Sized32>(structure: *const T) -> Result<T, Failure> {
    // SAFETY: `size` reads only what this function's contract allows. After its check the whole structure is
    // readable.
    unsafe {
        size(structure)?;
        Ok(structure.read())
    }
}

/// Returns the questions of a batch as a slice.
///
/// # Errors
/// `Null` if the pointer is null and `count` is not 0; `InvalidArgument` if it is not aligned or `count` is too large
/// for memory.
///
/// # Safety
/// `first` is null, or valid for reading `count` questions that do not change during `'a`.
pub(super) unsafe fn questions<'a>(first: *const Question, count: usize) -> Result<&'a [Question], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if first.is_null() {
        return Err(Status::Null.into());
    }
    if !first.is_aligned() {
        return Err(Failure::new(Status::InvalidArgument, "a structure is not aligned for its type"));
    }
    check_extent(size_of::<Question>(), count)?;
    // SAFETY: `first` is not null, aligned, and valid for `count` questions by the caller's contract. `check_extent`
    // bounds the length.
    Ok(unsafe { slice::from_raw_parts(first, count) })
}

fn check_extent(stride: usize, count: usize) -> Result<(), Failure> {
    let bytes = stride.checked_mul(count).and_then(|bytes| isize::try_from(bytes).ok());
    bytes.map(|_| ()).ok_or_else(|| {
        Failure::new(Status::InvalidArgument, "the count is too large: the array would not fit in memory")
    })
}

/// An array in the caller's memory that results are written to.
pub(super) struct Out<'a, T> {
    first: *mut T,
    count: usize,
    stride: usize,
    /// The stride as it is written into the size field of each structure.
    size: u32,
    _lent: PhantomData<&'a mut T>,
}

impl<T: Sized32> Out<'_, T> {
    /// Describes one structure to write to.
    ///
    /// # Errors
    /// `Null` if the pointer is null; `InvalidArgument` if it is not aligned or its size field is wrong.
    ///
    /// # Safety
    /// `structure` is null, or valid for writing a structure of the size that it states. Nothing else accesses it
    /// while the result lives.
    #[inline]
    pub(super) unsafe fn one(structure: *mut T) -> Result<Self, Failure> {
        // SAFETY: this function's contract covers the size field.
        let stride = unsafe { size(structure)? };
        Ok(Self::new(structure, 1, stride))
    }

    /// Describes an array of `count` structures to write to. The size field of the first one gives the distance
    /// between elements.
    ///
    /// # Errors
    /// `Null` or `InvalidArgument` if the first structure cannot be read or its size is wrong, or if the array is too
    /// long for memory.
    ///
    /// # Safety
    /// `first` is null, or valid for writing `count` structures of the size that the first one states. Nothing else
    /// accesses them while the result lives.
    pub(super) unsafe fn all(first: *mut T, count: usize) -> Result<Self, Failure> {
        // SAFETY: this function's contract covers the size field of the first structure.
        let stride = if count == 0 { 0 } else { unsafe { size(first)? } };
        check_extent(stride, count)?;
        Ok(Self::new(first, count, stride))
    }

    #[inline]
    fn new(first: *mut T, count: usize, stride: usize) -> Self {
        Self { first, count, stride, size: u32::try_from(stride).unwrap_or(0), _lent: PhantomData }
    }

    /// Writes the structure at `index`. Bytes beyond the size that this version knows are set to zero.
    ///
    /// # Panics
    /// If `index` is not below the count.
    #[inline]
    pub(super) fn put(&mut self, index: usize, value: T) {
        assert!(index < self.count, "the index is within the array");
        // SAFETY: the target is within the `count` structures of `stride` bytes that the constructor's contract
        // covers. Each is at least as large as `T` and as aligned: `size` checked the first structure, and `stride`
        // is a multiple of the alignment.
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

/// Writes `value` to `place`. Does nothing if `place` is null.
///
/// # Safety
/// `place` is null, or aligned and valid for writing a `T`.
pub(super) unsafe fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: the pointer is not null, and valid for the write by the caller's contract.
        unsafe { place.write(value) };
    }
}

/// Writes `text` and a NUL into the buffer, and the length of both to `needed`. Leaves a buffer that is too short
/// unchanged.
///
/// # Errors
/// `ShortBuffer` if the text and the NUL do not fit, or if `buffer` is null.
///
/// # Safety
/// `buffer` is null, or valid for writing `capacity` bytes. `needed` is null, or aligned and valid for writing.
pub(super) unsafe fn put_text(
    text: &str,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> Result<(), Failure> {
    // SAFETY: this function's contract covers `needed`.
    unsafe { put(needed, text.len() + 1) };
    if capacity <= text.len() || buffer.is_null() {
        return Err(Status::ShortBuffer.into());
    }
    // SAFETY: the buffer is longer than the text. The two do not overlap, because Rust owns the text.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), text.len());
        buffer.add(text.len()).write(0);
    }
    Ok(())
}
