use pavane_bus::Bus;
use pavane_outbox::{Backlog, Database, Db, relay::Relay};

/// Tells whether a service can do its work right now, and what keeps it from it.
#[derive(Debug)]
pub struct Readiness<DB: Database, B: Bus> {
    db: Db<DB>,
    bus: B,
}

impl<DB: Database, B: Bus> Clone for Readiness<DB, B> {
    fn clone(&self) -> Self {
        Self { db: self.db.clone(), bus: self.bus.clone() }
    }
}

impl<DB: Database, B: Bus> Readiness<DB, B> {
    pub(crate) const fn new(db: Db<DB>, bus: B) -> Self {
        Self { db, bus }
    }

    /// What isn't ready, each as a sentence; empty when all is.
    pub async fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if !self.bus.health().connected {
            missing.push("the NATS server is not connected".to_owned());
        }
        if let Err(error) = self.backlog().await {
            missing.push(error.to_string());
        }
        missing
    }

    /// What stands in the outbox.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn backlog(&self) -> Result<Backlog, pavane_outbox::relay::Error> {
        Relay::<DB, B>::backlog(&self.db).await
    }

    /// The service.
    #[cfg(feature = "ops")]
    pub(crate) fn service(&self) -> &str {
        self.db.service()
    }

    /// The current time in microseconds since the Unix epoch.
    #[cfg(feature = "ops")]
    pub(crate) fn now(&self) -> i64 {
        self.db.now()
    }
}
