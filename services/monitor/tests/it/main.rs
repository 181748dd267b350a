//! The monitor beside a shop: real services, a real nats-server, and a real browser.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod actions;
mod api;
mod assets;
mod browser;
mod exported;
mod items;
mod shipping;
mod shop;
mod webdriver;
