//! What the saga *is*: each service's reactions as data, and the rules that the runtime and the proofs share.
//!
//! From the services' manifests and the declared sagas a [`Choreography`] is made. It can be checked for what is missing,
//! explored in every state that a saga can reach, and drawn.
//!
//! This crate does no I/O. The inbox runs by [`ledger`]'s rules, and the model checker explores the very same ones.

#[cfg(test)]
extern crate self as pavane_choreography;

mod check;
mod choreography;
mod declaration;
mod diagram;
mod graph;
pub mod ledger;
pub mod manifest;
pub mod model;
mod saga;

pub use check::{Finding, Rule};
pub use choreography::Choreography;
pub use declaration::{Declaration, ReactionSettings, Settings};
pub use diagram::{Path, Sequence};
pub use manifest::{Emission, Entry, Manifest, Reaction, Role};
pub use saga::Saga;
