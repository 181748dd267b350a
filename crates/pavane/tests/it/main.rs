//! The framework as a whole, on a bus in memory and real databases.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod after_commit;
mod arrives_once;
mod black_hole;
mod classes;
mod cluster;
mod declares;
mod emits_once;
mod entry_steps;
mod full;
mod gives_up;
mod gone;
mod guest;
mod in_order;
mod items;
mod joins;
mod ledger;
mod memory;
mod own_pool;
mod panics;
mod privileges;
mod questions;
mod ready;
mod redrives;
mod root;
mod schemas;
mod shared_nats;
mod stage;
mod starts;
mod swallowed;
mod timers;
mod tls;
mod undo_order;
mod unread;
