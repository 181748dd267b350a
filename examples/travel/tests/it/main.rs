//! The travel booking: its choreography, each service under every fault, and all of them together.
#![cfg(test)]

mod choreography;
mod demo;
mod faults;
mod mutants;
mod simulated;
mod stage;
mod system;
