//! The payment service against the real provider simulator, over HTTP: each card, each race, each outage.

mod books;
mod cancels;
mod cards;
mod faults;
mod http;
mod https;
mod keys;
mod manifest;
mod order;
mod outages;
mod provider;
mod world;
