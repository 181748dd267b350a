//! What every service shows to those who operate it: logs, traces, health, readiness, metrics, and errors over HTTP.
//! Feature `ops`; traces are exported with the feature `otel`.

#[cfg(feature = "otel")]
mod collector;
mod description;
mod gauges;
mod health;
mod http;
mod limits;
mod problem;
mod process;
mod serve;
mod telemetry;
mod trace;

pub use description::may_answer;
pub use health::router;
pub use http::{serve, serve_within};
pub use limits::HttpLimits;
pub use problem::{FieldError, PROBLEM_JSON, Problem};
pub use process::{listen, process};
pub use serve::{Error, HTTP_PATIENCE, operators_port, run};
pub use telemetry::{Telemetry, init_tracing, init_tracing_at};
pub use trace::{spans, trace_of};
