//! Simulates the shop under faults: its five services' own reactions, and the payment provider.
//!
//! `cargo run --release -p shop-tests --example shop --` with what `crates/pavane-testkit/examples/simulate/cli.rs` says.
#![expect(clippy::print_stdout, reason = "it is what the command is for")]
#![expect(clippy::print_stderr, reason = "and this is for how far it is, or what is wrong with it")]

mod books;
#[path = "../../../crates/pavane-testkit/examples/simulate/cli.rs"]
mod cli;
mod provider;
mod system;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::Arguments::read() {
        Ok(arguments) => arguments.simulate(system::shop),
        Err(wrong) => {
            eprintln!("{wrong}");
            ExitCode::FAILURE
        }
    }
}
