//! Not part of the tests' program: a library that is loaded before PostgreSQL (`LD_PRELOAD`). While the file `FULL_DISK` exists, no file
//! below the folder that it names gets longer: there is no space left on the device (ENOSPC). What the files have can be overwritten.

use std::{
    env,
    ffi::{c_int, c_long, c_void},
    fs,
    path::PathBuf,
    sync::OnceLock,
};

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn __errno_location() -> *mut c_int;
}

#[repr(C)]
pub struct Piece {
    start: *const c_void,
    length: usize,
}

const ENOSPC: c_int = 28;

#[cfg(target_arch = "x86_64")]
mod number {
    pub const PWRITE: i64 = 18;
    pub const PWRITEV: i64 = 296;
    pub const FALLOCATE: i64 = 285;
}

#[cfg(target_arch = "aarch64")]
mod number {
    pub const PWRITE: i64 = 68;
    pub const PWRITEV: i64 = 70;
    pub const FALLOCATE: i64 = 47;
}

/// In the place of the C library's.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(file: c_int, from: *const c_void, length: usize, at: i64) -> isize {
    if is_full(file, at, length) {
        return refuse();
    }
    // SAFETY: the caller's promise is the system call's, too.
    unsafe { syscall(number::PWRITE, c_long::from(file), from, length, at) as isize }
}

/// As [`pwrite64`].
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(file: c_int, from: *const c_void, length: usize, at: i64) -> isize {
    // SAFETY: the caller's promise.
    unsafe { pwrite64(file, from, length, at) }
}

/// As [`pwrite64`], of several pieces.
///
/// # Safety
///
/// As there: `count` pieces are at `pieces`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev64(file: c_int, pieces: *const Piece, count: c_int, at: i64) -> isize {
    // SAFETY: the caller's promise.
    let all = unsafe { std::slice::from_raw_parts(pieces, count.unsigned_abs() as usize) };
    if is_full(file, at, all.iter().map(|piece| piece.length).sum()) {
        return refuse();
    }
    // SAFETY: as above. The position is in two halves, of which the second is not used where a word has 64 bits.
    unsafe { syscall(number::PWRITEV, c_long::from(file), pieces, c_long::from(count), at, 0_i64) as isize }
}

/// As [`pwritev64`].
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev(file: c_int, pieces: *const Piece, count: c_int, at: i64) -> isize {
    // SAFETY: the caller's promise.
    unsafe { pwritev64(file, pieces, count, at) }
}

/// In the place of the C library's. It returns the error, and leaves `errno` alone.
#[unsafe(no_mangle)]
pub extern "C" fn posix_fallocate64(file: c_int, at: i64, length: i64) -> c_int {
    if is_full(file, at, usize::try_from(length).unwrap_or(0)) {
        return ENOSPC;
    }
    // SAFETY: it touches no memory of this process.
    let result = unsafe { syscall(number::FALLOCATE, c_long::from(file), 0_i64, at, length) };
    // SAFETY: the pointer is this thread's, and valid.
    if result == 0 { 0 } else { unsafe { *__errno_location() } }
}

/// As [`posix_fallocate64`].
#[unsafe(no_mangle)]
pub extern "C" fn posix_fallocate(file: c_int, at: i64, length: i64) -> c_int {
    posix_fallocate64(file, at, length)
}

/// Whether the disk is full, and the file would have to get longer for this.
fn is_full(file: c_int, at: i64, length: usize) -> bool {
    static FULL_DISK: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(says) = FULL_DISK.get_or_init(|| env::var_os("FULL_DISK").map(PathBuf::from)) else { return false };
    let Ok(folder) = fs::read_to_string(says) else { return false };
    let Ok(path) = fs::read_link(format!("/proc/self/fd/{file}")) else { return false };
    let end = u64::try_from(at).unwrap_or(0) + length as u64;
    path.starts_with(folder.trim()) && fs::metadata(path).is_ok_and(|it| it.len() < end)
}

fn refuse() -> isize {
    // SAFETY: the pointer is this thread's, and valid.
    unsafe { *__errno_location() = ENOSPC };
    -1
}
