//! The choreography of the reference shop, written by hand: checked, explored and drawn. The mutation proof runs on the
//! real wiring tables, in `tests/`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checks;
mod diagrams;
mod items;
mod joins;
mod mutants;
mod seats;
mod shop;
mod sound;
mod travel;
