//! Simulates a small shop under faults, or a trip that forks and joins.
//!
//! `cargo run -p pavane-testkit --example simulate --` with what `cli.rs` says, or with `--planted-bugs` for the table of
//! planted mistakes and the seeds that it takes to find each.
#![expect(clippy::print_stdout, reason = "it is what the command is for")]
#![expect(clippy::print_stderr, reason = "and this is for how far it is, or what is wrong with it")]

mod books;
mod bugs;
mod cli;
mod price;
mod shop;
mod trip;
mod trips;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::Arguments::read() {
        Ok(arguments) if arguments.planted_bugs => planted_bugs(),
        Ok(arguments) if arguments.trip => arguments.simulate(trips::trips),
        Ok(arguments) => arguments.simulate(books::shop),
        Err(wrong) => {
            eprintln!("{wrong}");
            ExitCode::FAILURE
        }
    }
}

fn planted_bugs() -> ExitCode {
    let mut missed = 0;
    println!("| mistake | what it is | seeds needed | invariant |\n|---|---|---|---|");
    for found in bugs::find_all() {
        println!("{found}");
        missed += u8::from(found.seeds.is_none());
    }
    ExitCode::from(missed)
}
