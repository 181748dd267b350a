//! Simulates a small shop under faults.
//!
//! `cargo run -p pavane-testkit --example simulate -- [seed] [--sagas N] [--seeds N]`
#![expect(clippy::print_stdout, reason = "it is what the command is for")]

mod books;
mod bugs;
mod shop;

use std::process::ExitCode;

use pavane_testkit::{Bug, Plan, simulate};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut seed, mut sagas, mut seeds, mut bug) = (None, 20, 100, None);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|value| value.parse().ok());
        match argument.as_str() {
            "--sagas" => sagas = number().unwrap_or(sagas),
            "--seeds" => seeds = number().unwrap_or(100) as u64,
            "--bug" => {
                let name = arguments.next().unwrap_or_default();
                bug = Bug::ALL.into_iter().find(|bug| bug.to_string() == name);
            }
            "--planted-bugs" => return planted_bugs(),
            other => seed = other.parse::<u64>().ok(),
        }
    }
    let simulation = simulate(books::shop).sagas(sagas);
    let simulation = if let Some(bug) = bug { simulation.planting(bug) } else { simulation };
    if let Some(seed) = seed {
        let run = simulation.replay(Plan::of(seed, sagas));
        println!("{run}");
        return ExitCode::from(u8::from(!run.violations.is_empty()));
    }
    let outcome = simulation.seeds(0..seeds).run();
    println!("{outcome}");
    ExitCode::from(u8::from(outcome.counterexample.is_some()))
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
