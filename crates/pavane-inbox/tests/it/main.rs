//! The inbox's stores, over real servers.
#![cfg(test)]

mod call;
mod clock;
mod dedupe;
mod keys;
mod once;
mod partitions;
mod shape;
mod stage;
mod subscriber;
