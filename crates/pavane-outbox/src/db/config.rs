use std::{fmt, sync::Arc, time::Duration};

use pavane_contract::{Clock, SystemClock};

use crate::CrashPoints;

/// How to open a database.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// `postgres://…` or `sqlite:…`. A SQLite file is created when it doesn't exist.
    pub url: String,
    /// Name of the service: the `ce-source` of what it emits.
    pub service: String,
    /// Connections that write, on PostgreSQL. Default 10. SQLite always has one: it has one writer, and a second connection
    /// would only wait, sometimes for half a second.
    pub connections: u32,
    /// How long to wait for a connection. Default 10 s. To find out why there was none takes up to 2 s more.
    pub acquire_timeout: Duration,
    /// How long PostgreSQL may take to answer before its connection is closed. Default 30 s. Not used on SQLite.
    pub answer_timeout: Duration,
    /// Where time and ids come from.
    pub clock: Arc<dyn Clock>,
    /// For tests and simulations: what happens at crash points. Default none.
    #[doc(hidden)]
    pub crash_points: Option<Arc<dyn CrashPoints>>,
}

impl Config {
    /// The defaults for a service and a database.
    pub fn new(service: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            service: service.into(),
            connections: 10,
            acquire_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            clock: Arc::new(SystemClock),
            crash_points: None,
        }
    }
}

/// Without the password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &redact(&self.url))
            .field("service", &self.service)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

/// A URL without its password, for messages. Its options are left out, too: one of them may be the password.
pub(super) fn redact(url: &str) -> String {
    let url = url.split_once('?').map_or(url, |(url, _)| url);
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 < at => format!("{}…{}", &url[..scheme + 3], &url[at..]),
        _ => url.to_owned(),
    }
}
