//! The choreography of the reference shop: checked, explored, drawn, and broken on purpose.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checks;
mod diagrams;
mod mutants;
mod shop;
mod sound;
