//! Checks a history that was kept: `cargo run -p pavane-testkit --example history -- FILE`.
#![expect(clippy::print_stdout, reason = "it is what the command is for")]
#![expect(clippy::print_stderr, reason = "and this is for what is wrong with it")]

use std::{error::Error as _, process::ExitCode};

use pavane_testkit::history::History;

fn main() -> ExitCode {
    let Some(file) = std::env::args().nth(1) else {
        eprintln!("which file? One that `History::save` wrote, for example target/chaos-14.jsonl");
        return ExitCode::FAILURE;
    };
    match History::load(&file) {
        Ok(history) => {
            let report = history.check();
            println!("{report}");
            if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            eprintln!("{file}: {error}{cause}");
            ExitCode::FAILURE
        }
    }
}
