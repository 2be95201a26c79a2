//! Pointers from C, checked as far as they can be.

use crate::error::Error;
use std::slice;

/// What `pointer` points to, for the time of a call.
///
/// # Safety
/// Unless it is null or not aligned, it points to a valid `T` that nobody changes meanwhile.
pub(crate) unsafe fn read<T: Copy>(pointer: *const T) -> Result<T, Error> {
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(Error::Pointer);
    }
    // SAFETY: not null, aligned, and by contract valid.
    Ok(unsafe { pointer.read() })
}

/// The `len` elements at `pointer`.
///
/// # Safety
/// Unless it is null or not aligned, or `len` is too much for an array of them, it points to that many
/// valid ones that nobody changes as long as the slice is in use.
pub(crate) unsafe fn read_slice<'a, T>(pointer: *const T, len: usize) -> Result<&'a [T], Error> {
    if len == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(Error::Pointer);
    }
    let bytes = len.checked_mul(size_of::<T>()).ok_or(Error::Argument)?;
    if isize::try_from(bytes).is_err() {
        return Err(Error::Argument);
    }
    // SAFETY: not null, aligned, of a length that an array can have, and by contract valid.
    Ok(unsafe { slice::from_raw_parts(pointer, len) })
}

/// A place that is not null and aligned, to be written when all else is well.
#[derive(Debug)]
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    pub(crate) fn check(pointer: *mut T) -> Result<Out<T>, Error> {
        if pointer.is_null() || !pointer.is_aligned() { Err(Error::Pointer) } else { Ok(Out(pointer)) }
    }

    /// # Safety
    /// There is memory for a `T`, which nobody else uses meanwhile.
    pub(crate) unsafe fn write(self, value: T) {
        // SAFETY: not null, aligned, and by contract writable. What was there before is not dropped:
        // it may be nothing.
        unsafe { self.0.write(value) }
    }
}

impl Out<u8> {
    /// # Safety
    /// There is memory for as many bytes, which nobody else uses meanwhile.
    pub(crate) unsafe fn write_all(self, bytes: &[u8]) {
        // SAFETY: not null, by contract writable, and not what `bytes` borrows.
        unsafe { self.0.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }
}
