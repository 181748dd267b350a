//! Simulates travel bookings under faults.
//!
//! `cargo run --release -p travel --example travel --` with what `crates/pavane-testkit/examples/simulate/cli.rs` says.
#![expect(clippy::print_stdout, reason = "it is what the command is for")]
#![expect(clippy::print_stderr, reason = "and this is for how far it is, or what is wrong with it")]

#[path = "../../../crates/pavane-testkit/examples/simulate/cli.rs"]
mod cli;
#[path = "../tests/it/system.rs"]
mod system;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::Arguments::read() {
        Ok(arguments) => arguments.simulate(system::travel),
        Err(wrong) => {
            eprintln!("{wrong}");
            ExitCode::FAILURE
        }
    }
}
