use std::{fmt, sync::Arc, time::Duration};

use pavane_bus::{Topology, jetstream};
use pavane_contract::{Clock, SystemClock};
use pavane_outbox::{Bounds, relay};

use crate::Error;

/// Where a service runs, and how long it remembers.
///
/// The defaults keep every guarantee; [`Service::connect`](crate::database::Service::connect) refuses a combination that doesn't.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The NATS server: its address, the login, TLS, and the settings of its account. `service` and `connect_within` are set
    /// from the service's name and from `start_within`.
    pub nats: jetstream::Config,
    /// `postgres://…` or `sqlite:file.db`. Default `sqlite:<service>.db`. Ignored by
    /// [`Service::connect_with`](crate::database::Service::connect_with), which is given a database.
    pub database_url: Option<String>,
    /// The streams.
    pub topology: Topology,
    /// The relay.
    pub relay: relay::Config,
    /// How long handled events and ledger entries are kept. Default 45 days. It must be longer than an event can live (in the
    /// events stream, then as a dead letter, then redriven in the events stream again), or an old event could be handled twice.
    pub inbox_retention: Duration,
    /// How long PostgreSQL may take to answer. After that its connections are closed, and what waited for them is tried again,
    /// here or by another instance. A statement may not take longer either. Default 30 s.
    pub database_timeout: Duration,
    /// How many events may wait to be published. Above that, entry points refuse and reactions pause, so that the database
    /// doesn't fill up while NATS is away. Default 1,000,000.
    pub outbox_rows: u32,
    /// How long the oldest of them may have waited. Default 24 hours.
    pub outbox_age: Duration,
    /// How long a start tries to reach the NATS server and to create streams and consumers, while the server is unavailable: it
    /// is starting too, its cluster is forming, or its leader died. Default 1 minute.
    pub start_within: Duration,
    /// How long running handlers may take at shutdown. Default 20 s.
    pub shutdown_patience: Duration,
    /// Where time and ids come from.
    pub clock: Arc<dyn Clock>,
}

impl Config {
    /// The defaults, for a NATS server.
    pub fn new(nats_url: impl Into<String>) -> Self {
        Self {
            nats: jetstream::Config::new(nats_url, String::new()),
            database_url: None,
            topology: Topology::default(),
            relay: relay::Config::default(),
            inbox_retention: Duration::from_hours(45 * 24),
            database_timeout: Duration::from_secs(30),
            outbox_rows: Bounds::default().outbox_rows,
            outbox_age: Bounds::default().outbox_age,
            start_within: Duration::from_mins(1),
            shutdown_patience: Duration::from_secs(20),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets the URL of the service's own database.
    #[must_use]
    pub fn database(mut self, url: impl Into<String>) -> Self {
        self.database_url = Some(url.into());
        self
    }

    /// Sets the namespace. Systems that share a NATS account have different ones, and see nothing of each other. Letters, digits
    /// and `-`.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.nats.namespace = Some(namespace.into());
        self
    }

    /// The defaults, overridden by environment variables:
    ///
    /// | variable | meaning | default |
    /// |---|---|---|
    /// | `NATS_…`, `PAVANE_NAMESPACE`, `PAVANE_VERIFY_ONLY` | the NATS server, see [there](jetstream::Config::from_env) | `nats://127.0.0.1:4222` |
    /// | `DATABASE_URL` | the service's own database | `sqlite:<service>.db` |
    /// | `PAVANE_REPLICAS` | copies of each stream: 1, 3 or 5 | 1 |
    /// | `PAVANE_MAX_BYTES` | bytes that the stream of events may take | no limit but the server's |
    /// | `PAVANE_DEAD_LETTER_MAX_BYTES` | bytes that the stream of dead letters may take | no limit but the server's |
    /// | `PAVANE_OUTBOX_ROWS` | events that may wait to be published | 1000000 |
    /// | `PAVANE_START_WITHIN` | seconds that a start tries, while the NATS server is unavailable | 60 |
    ///
    /// # Errors
    ///
    /// When a variable has a value that can't be used; the error names both.
    pub fn from_env() -> Result<Self, Error> {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut config = Self::new(String::new());
        config.nats = jetstream::Config::from_env(String::new())?;
        config.database_url = var("DATABASE_URL");
        config.topology.max_bytes = bytes("PAVANE_MAX_BYTES", var)?;
        config.topology.dead_letter_max_bytes = bytes("PAVANE_DEAD_LETTER_MAX_BYTES", var)?;
        if let Some(replicas) = var("PAVANE_REPLICAS") {
            config.topology.replicas = replicas.parse().map_err(|_| Error::Setting {
                setting: "PAVANE_REPLICAS",
                value: replicas,
                why: "a stream has 1, 3 or 5 replicas".to_owned(),
            })?;
        }
        if let Some(rows) = var("PAVANE_OUTBOX_ROWS") {
            config.outbox_rows = rows.parse().map_err(|_| Error::Setting {
                setting: "PAVANE_OUTBOX_ROWS",
                value: rows,
                why: "use a number of events, 1000000 for example".to_owned(),
            })?;
        }
        if let Some(seconds) = var("PAVANE_START_WITHIN") {
            config.start_within = seconds.parse().map(Duration::from_secs).map_err(|_| Error::Setting {
                setting: "PAVANE_START_WITHIN",
                value: seconds,
                why: "use a whole number of seconds, for example 60".to_owned(),
            })?;
        }
        Ok(config)
    }

    /// The bounds that the database enforces.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            memory: self.inbox_retention.min(self.relay.outcome_retention),
            outbox_rows: self.outbox_rows,
            outbox_age: self.outbox_age,
        }
    }

    /// Refuses what would break a guarantee.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let refuse = |setting, value: &dyn fmt::Debug, why: String| {
            Err(Error::Setting { setting, value: format!("{value:?}"), why })
        };
        let longest = self.topology.max_age.saturating_add(self.topology.dead_letter_max_age);
        if self.inbox_retention <= longest {
            let why = format!(
                "an event can still be delivered or redriven for {longest:?}, and would be handled twice; \
                 use more than that, or shorten the streams' max_age"
            );
            return refuse("inbox_retention", &self.inbox_retention, why);
        }
        if self.relay.outcome_retention <= longest {
            let why = format!("a saga could get a second outcome; use more than {longest:?}");
            return refuse("relay.outcome_retention", &self.relay.outcome_retention, why);
        }
        if self.relay.durability_horizon >= self.topology.max_age {
            let why = format!(
                "the relay could not tell expired events from lost ones; use less than topology.max_age = {:?}",
                self.topology.max_age
            );
            return refuse("relay.durability_horizon", &self.relay.durability_horizon, why);
        }
        if self.relay.batch_max == 0 {
            return refuse("relay.batch_max", &self.relay.batch_max, "use 1 or more".to_owned());
        }
        if self.relay.lease < Duration::from_secs(1) {
            return refuse("relay.lease", &self.relay.lease, "use 1 s or more, or instances fight over it".to_owned());
        }
        if !(Duration::from_secs(1)..=Duration::from_mins(5)).contains(&self.database_timeout) {
            let why = "use 1 s to 5 min: what is shorter ends commits that only wait for the disk, and what hangs for longer keeps \
                       events, and all behind them, from other instances";
            return refuse("database_timeout", &self.database_timeout, why.to_owned());
        }
        if self.outbox_rows == 0 {
            return refuse(
                "outbox_rows",
                &self.outbox_rows,
                "nothing could enter; use 1000000, for example".to_owned(),
            );
        }
        if self.outbox_age < Duration::from_secs(10) {
            let why = "a restart of NATS would stop the entry points; use 24 h, for example, and 10 s or more";
            return refuse("outbox_age", &self.outbox_age, why.to_owned());
        }
        if !matches!(self.topology.replicas, 1 | 3 | 5) {
            return refuse("topology.replicas", &self.topology.replicas, "a stream has 1, 3 or 5 replicas".to_owned());
        }
        Ok(())
    }

    pub(crate) fn jetstream(&self, service: &str) -> jetstream::Config {
        let mut config = self.nats.clone();
        service.clone_into(&mut config.service);
        config.connect_within = self.start_within;
        config
    }

    pub(crate) fn outbox(&self, service: &str) -> pavane_outbox::Config {
        let url = self.database_url.clone().unwrap_or_else(|| format!("sqlite:{service}.db"));
        let mut config = pavane_outbox::Config::new(service, url);
        config.clock = Arc::clone(&self.clock);
        config.answer_timeout = self.database_timeout;
        config
    }
}

/// A stream's limit in bytes. Zero is refused: the server takes it for no limit.
fn bytes(setting: &'static str, var: impl Fn(&str) -> Option<String>) -> Result<Option<u64>, Error> {
    let Some(value) = var(setting) else { return Ok(None) };
    match value.parse() {
        Ok(bytes) if bytes > 0 => Ok(Some(bytes)),
        _ => Err(Error::Setting { setting, value, why: "use a number of bytes, for example 10737418240".to_owned() }),
    }
}

/// Without passwords.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("nats", &self.nats)
            .field("database", &self.outbox("<service>"))
            .field("topology", &self.topology)
            .field("relay", &self.relay)
            .field("inbox_retention", &self.inbox_retention)
            .field("shutdown_patience", &self.shutdown_patience)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_of_bytes() {
        let read = |value: Option<&str>| {
            bytes("PAVANE_MAX_BYTES", |_| value.map(str::to_owned)).map_err(|error| error.to_string())
        };
        assert_eq!((read(None), read(Some("1024"))), (Ok(None), Ok(Some(1024))));
        for value in ["0", "1GB", "-1"] {
            let why = "use a number of bytes, for example 10737418240";
            assert_eq!(read(Some(value)), Err(format!("PAVANE_MAX_BYTES = {value} can't be used: {why}")));
        }
    }

    #[test]
    fn no_password_is_printed() {
        let mut config =
            Config::new("nats://order:secret@nats").database("postgres://order:secret@db/order?password=secret");
        config.nats.login = Some(jetstream::Login::User("order".to_owned(), "secret".to_owned()));
        let printed = format!("{config:?} {config:#?}");
        assert!(
            printed.contains("nats://nats") && printed.contains("@db/order") && !printed.contains("secret"),
            "{printed}"
        );
    }
}
