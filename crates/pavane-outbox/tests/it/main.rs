//! Transactions that emit, and the relay, step by step on a clock that the test moves.
#![cfg(test)]

mod after_commit;
mod bodies;
mod clocks;
mod emit;
mod guest;
mod guest_killed;
mod instances;
mod memory;
mod pressure;
mod questions;
mod relay;
mod sets;
mod shelf;
mod timers;
mod transactions;
