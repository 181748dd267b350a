//! The whole shop in one process: services, customers, and an auditor.
//!
//! The `demo` binary shows it; the end-to-end tests use the same pieces.

pub mod audit;
pub mod customer;
pub mod report;
pub mod scenario;
pub mod shop;

/// The command line of a program that an alias starts, without the two dashes that are typed when one doesn't know that the
/// alias has its own: `cargo demo -- --help` and `cargo demo --help` are the same.
pub fn command_line() -> impl Iterator<Item = std::ffi::OsString> {
    let dashes = |(place, word): &(usize, std::ffi::OsString)| *place == 1 && word == "--";
    std::env::args_os().enumerate().filter(move |word| !dashes(word)).map(|(_, word)| word)
}
