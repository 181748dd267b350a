//! How large a saga the model checker can explore: `cargo run --release -p pavane-choreography --example reach -- 40 0` for a
//! line of forty steps, `… -- 3 4` for three steps and four branches beside them. With `whole` behind it, every interleaving.
//!
//! It says how many states that takes; the time and the memory are the shell's to say (`/usr/bin/time -v`).

#![expect(clippy::print_stdout, reason = "it is what the command is for")]

use std::{env, process::ExitCode};

use pavane_choreography::model::explore_every_interleaving;

#[path = "../tests/it/shop.rs"]
#[expect(dead_code, reason = "the shop itself is for the tests")]
mod shop;
#[path = "../tests/it/wide.rs"]
mod wide;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|number| number.parse::<usize>().ok());
    let (Some(steps @ 1..), Some(branches)) = (number(0), number(1)) else {
        println!("steps, at least one, and branches: `-- 40 0`");
        return ExitCode::FAILURE;
    };
    let choreography = wide::wide(steps, branches);
    let saga = &choreography.sagas()[0];
    let whole = arguments.get(2).is_some_and(|word| word == "whole");
    let explored = if whole { explore_every_interleaving(&choreography, saga) } else { choreography.explore(saga) };
    match explored {
        Ok(exploration) => println!("{exploration}"),
        Err(violation) => println!("{violation}"),
    }
    ExitCode::SUCCESS
}
