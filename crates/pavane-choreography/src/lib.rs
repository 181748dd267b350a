//! What the saga *is*: each service's reactions as data, and the rules that the runtime and the proofs share.
//!
//! A [`Choreography`] consists of the services' manifests and the declared sagas. It can be checked, explored in every state
//! that a saga can reach, and drawn.
//!
//! This crate does no I/O. The inbox and the model checker use the same rules, those of [`ledger`].

#[cfg(test)]
extern crate self as pavane_choreography;

mod check;
mod choreography;
mod declaration;
mod diagram;
mod graph;
mod items;
pub mod ledger;
pub mod manifest;
pub mod model;
mod saga;

pub use check::{Finding, Rule};
pub use choreography::Choreography;
pub use declaration::{Declaration, ReactionSettings, Settings};
pub use diagram::{Path, Sequence};
pub use manifest::{Emission, Entry, JoinPart, Manifest, Question, Reaction, Role};
pub use saga::Saga;
