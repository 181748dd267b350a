//! What every service shows to those who operate it: logs, traces, health, readiness and metrics. Feature `ops`; traces are exported
//! with the feature `otel`.
//!
//! [`router`] and [`spans`] are for the axum server that you have:
//!
//! ```
//! # use axum::Router;
//! # fn routes<DB: pavane::database::Database, B: pavane::Bus>(app: &pavane::database::App<(), DB, B>, mine: Router) -> Router {
//! use pavane::ops;
//!
//! let routes = mine.merge(ops::router(app.readiness()).expect("no other metrics recorder"));
//! ops::spans(routes)
//! # }
//! ```

#[cfg(feature = "otel")]
mod collector;
mod gauges;
mod health;
mod telemetry;
mod trace;

pub use health::router;
pub use telemetry::{Telemetry, init_tracing, init_tracing_at};
pub use trace::{spans, trace_of};
