//! What there is to an event beyond its declaration: where it came from, and what must not change about it.
//!
//! A crate of contracts that several services share depends on `pavane-contract` instead, which has all of this, too.

pub use pavane_contract::{
    Cause, Clock, EventId, EventRef, EventSet, Meta, SystemClock, TraceContext, codec::Misfit, golden, personal, schema,
};
