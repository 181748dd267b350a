//! What the shop's services have in common over HTTP.
//!
//! - [`process`] and [`listen`] are a service's `main`;
//! - [`run`] runs its reactions and its HTTP side, and stops both in order;
//! - [`serve`] is the server, within [limits](HttpLimits), for what has no reactions;
//! - [`Problem`] is how errors are told, and [`may_answer`] how an API's description says so.
//!
//! These are the shop's conventions, and no part of Pavane: a service that exists has its own. What Pavane brings for operators (logs,
//! traces, health, readiness and metrics) is in [`pavane::ops`].

mod description;
mod limits;
mod problem;
mod process;
mod run;
mod serve;

pub use description::may_answer;
pub use limits::HttpLimits;
pub use problem::{FieldError, PROBLEM_JSON, Problem};
pub use process::{listen, operators_port, process};
pub use run::{Running, Shutdown, operate, run};
pub use serve::{HTTP_PATIENCE, serve};
