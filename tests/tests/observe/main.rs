//! The fold on sagas that are told event by event, and the feed and redrives on a real server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod declarations;
mod items;
mod joins;
mod letters;
mod live;
mod paths;
mod script;
mod stuck;
mod whatever_order;
