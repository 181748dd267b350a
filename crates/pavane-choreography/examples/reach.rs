//! How large a saga the model checker can explore: `cargo run --release -p pavane-choreography --example reach -- 40 0` for a
//! line of forty steps, `… -- 3 4` for three steps and four branches beside them, `… -- join 6` for six steps side by side and a join, `… -- trip` for a trip with joins and a question,
//! `… -- seats` for one with items, too. With `whole` behind it, every interleaving.
//!
//! It says how many states that takes; the time and the memory are the shell's to say (`/usr/bin/time -v`).

#![expect(clippy::print_stdout, reason = "it is what the command is for")]

use std::{env, process::ExitCode};

use pavane_choreography::model::explore_every_interleaving;

#[path = "../tests/it/seats.rs"]
#[expect(dead_code, reason = "the smaller ones are for the tests")]
mod seats;
#[path = "../tests/it/shop.rs"]
#[expect(dead_code, reason = "the shop itself is for the tests")]
mod shop;
#[path = "../tests/it/travel.rs"]
mod travel;
#[path = "../tests/it/wide.rs"]
mod wide;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|number| number.parse::<usize>().ok());
    let choreography = match (number(0), number(1)) {
        (Some(steps @ 1..), Some(branches)) => wide::wide(steps, branches),
        (None, Some(branches @ 1..)) => wide::joined(branches),
        _ if arguments.first().is_some_and(|word| word == "trip") => travel::choreography(),
        _ if arguments.first().is_some_and(|word| word == "seats") => travel::with_seats(),
        _ => {
            println!("steps, at least one, and branches: `-- 40 0`; or `-- join 6`; or `-- trip`, `-- seats`");
            return ExitCode::FAILURE;
        }
    };
    let saga = &choreography.sagas()[0];
    let whole = arguments.last().is_some_and(|word| word == "whole");
    let explored = if whole { explore_every_interleaving(&choreography, saga) } else { choreography.explore(saga) };
    match explored {
        Ok(exploration) => println!("{exploration}"),
        Err(violation) => println!("{violation}"),
    }
    ExitCode::SUCCESS
}
