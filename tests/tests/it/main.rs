//! The shop as a whole: real nats-server, real SQLite and PostgreSQL, real processes, real HTTP.
#![cfg(test)]

mod alerts;
mod build_context;
mod chaos;
mod choreography;
mod command;
mod commands;
mod containers;
mod crashes;
mod database_away;
mod described;
mod foreign;
mod fuzz;
mod hardened;
mod house;
mod invariants;
mod loyalty;
mod mutants;
mod openapi;
mod operators;
mod packages;
mod paths;
mod permissions;
mod personal;
mod simulated;
mod sixth_service;
mod stopped;
mod traces;
