//! Events beyond their declaration: causes, golden files, schemas, personal data.
//!
//! A crate of contracts that several services share depends on `pavane-contract` instead, which has all of this.

pub use pavane_contract::{
    Cause, Clock, EventId, EventRef, EventSet, Meta, SystemClock, TraceContext, codec::Misfit, golden, personal, schema,
};
