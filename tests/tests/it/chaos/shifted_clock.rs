//! Not part of the tests' program: a library that is loaded before a service (`LD_PRELOAD`), and has it read another time of day than the
//! machine's. How far that is off, the file `SHIFTED_CLOCK` says at each look: seconds, and how many milliseconds are added each second.
//! Time that passes (`CLOCK_MONOTONIC`) is left as it is, as with a clock that somebody sets.

use std::{
    env,
    ffi::{c_int, c_long},
    fs,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread,
    time::Duration,
};

#[repr(C)]
pub struct Timespec {
    seconds: i64,
    nanos: c_long,
}

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

#[cfg(target_arch = "x86_64")]
const CLOCK_GETTIME: c_long = 228;
#[cfg(target_arch = "aarch64")]
const CLOCK_GETTIME: c_long = 113;

const REALTIME: c_int = 0;
const REALTIME_COARSE: c_int = 5;
const BILLION: i64 = 1_000_000_000;
const LOOK_EVERY: Duration = Duration::from_millis(20);

static NANOS_OFF: AtomicI64 = AtomicI64::new(0);
static WATCHED: OnceLock<()> = OnceLock::new();
static STARTING: AtomicBool = AtomicBool::new(false);

/// In the place of the C library's.
///
/// # Safety
///
/// As there: `time` is null, or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int {
    // SAFETY: the caller's promise is the system call's, too.
    let result = unsafe { syscall(CLOCK_GETTIME, c_long::from(clock), time) };
    if result == 0 && !time.is_null() && matches!(clock, REALTIME | REALTIME_COARSE) {
        watch();
        // SAFETY: the system call has just written there.
        let time = unsafe { &mut *time };
        let nanos = time.nanos + NANOS_OFF.load(Ordering::Relaxed);
        time.seconds += nanos.div_euclid(BILLION);
        time.nanos = nanos.rem_euclid(BILLION);
    }
    c_int::from(result != 0) * -1
}

/// Starts the thread that looks into the file, with the first look at the clock. A look that this takes finds it started.
fn watch() {
    if WATCHED.get().is_some() || STARTING.swap(true, Ordering::Relaxed) {
        return;
    }
    if let Some(file) = env::var_os("SHIFTED_CLOCK") {
        let mut drifted = 0;
        let mut look = move || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let mut numbers = text.split_whitespace().filter_map(|number| number.parse::<i64>().ok());
            let (seconds, millis_each) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
            drifted = if millis_each == 0 { 0 } else { drifted + millis_each * 20_000 };
            NANOS_OFF.store(seconds * BILLION + drifted, Ordering::Relaxed);
        };
        look();
        thread::spawn(move || {
            loop {
                thread::sleep(LOOK_EVERY);
                look();
            }
        });
    }
    let _ = WATCHED.set(());
}
