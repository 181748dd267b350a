//! The shop as a whole: real nats-server, real SQLite and PostgreSQL, real processes, real HTTP.
#![cfg(test)]

mod choreography;
mod crashes;
mod foreign;
mod house;
mod invariants;
mod paths;
mod sixth_service;
