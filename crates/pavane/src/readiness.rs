use std::{sync::Arc, time::Duration};

use pavane_bus::{Bus, Error, topology::EVENTS};
#[cfg(feature = "ops")]
use pavane_inbox::{WaitingUndos, waiting_undos};
use pavane_outbox::{Backlog, Database, Db, internal};
use tokio::sync::Mutex;

use crate::{supervisor::Tasks, unread::Unread};

/// How long to wait for the server's answer about the stream, and for the database's. Normally it takes milliseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How many microseconds that answer is reused, so that frequent probes don't reach the server.
const GOOD_FOR: i64 = 1_000_000;

/// Tells whether a service can do its work right now, and if not, why.
#[derive(Debug)]
pub struct Readiness<DB: Database, B: Bus> {
    db: Db<DB>,
    bus: B,
    /// Locked while the server is asked: of several probes at once, one asks.
    stream: Arc<Mutex<Option<Seen>>>,
    tasks: Tasks,
    unread: Unread,
}

/// The last answer about the events stream.
#[derive(Debug)]
struct Seen {
    at: i64,
    trouble: Option<String>,
}

impl<DB: Database, B: Bus> Clone for Readiness<DB, B> {
    fn clone(&self) -> Self {
        let Self { db, bus, stream, tasks, unread } = self;
        let (db, bus, stream) = (db.clone(), bus.clone(), Arc::clone(stream));
        Self { db, bus, stream, tasks: tasks.clone(), unread: unread.clone() }
    }
}

impl<DB: Database, B: Bus> Readiness<DB, B> {
    pub(crate) fn new(db: Db<DB>, bus: B, tasks: Tasks, unread: Unread) -> Self {
        Self { db, bus, stream: Arc::default(), tasks, unread }
    }

    /// What isn't ready, a sentence each; empty when the service is ready.
    ///
    /// Asks the database each time, and the NATS server for the events stream at most once a second.
    pub async fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.bus.health().connected {
            missing.extend(self.stream_trouble().await);
        } else {
            missing.push("the NATS server is not connected".to_owned());
        }
        missing.extend(self.db.clock_trouble());
        missing.extend(self.db.check_room().err().map(|full| full.to_string()));
        if let Some(trouble) = self.db.relay_trouble() {
            missing.push(format!("events wait in the outbox until they may be published: {trouble}"));
        }
        missing.extend(self.database_trouble().await);
        // Last: a failed task usually follows from one of the above.
        missing.extend(self.tasks.missing());
        missing
    }

    /// Says from now on that the service is stopping. [`App::run_until`](crate::database::App::run_until) does so by itself when
    /// it stops. Call this before, where requests under way are answered first: no more should be sent here meanwhile.
    pub fn stopping(&self) {
        self.tasks.stopping();
    }

    /// What somebody should know although the service does its work, each as a sentence. Asks nobody.
    pub fn warnings(&self) -> Vec<String> {
        self.unread.told()
    }

    /// Why the database can't be used. Reads no table: to count a million waiting events takes time, and the service is ready
    /// all the same.
    async fn database_trouble(&self) -> Option<String> {
        match tokio::time::timeout(ANSWER_WITHIN, self.db.is_read_only()).await {
            Ok(Ok(false)) => None,
            Ok(Ok(true)) => Some(
                "the database can't be written to: it is a standby, or default_transaction_read_only is on; point DATABASE_URL \
                 to the primary"
                    .to_owned(),
            ),
            Ok(Err(error)) => Some(pavane_outbox::chain(&error)),
            Err(_) => Some(format!("the database does not answer within {ANSWER_WITHIN:?}")),
        }
    }

    /// Counts what is in the outbox.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn backlog(&self) -> Result<Backlog, pavane_outbox::Error> {
        internal::backlog(&self.db).await
    }

    /// Counts what is in the outbox, and the undos that wait in the inbox.
    #[cfg(feature = "ops")]
    pub(crate) async fn waiting(&self) -> Result<(Backlog, WaitingUndos), pavane_outbox::Error> {
        let undos = self.db.within(waiting_undos(&self.db)).await?;
        Ok((self.backlog().await?, undos))
    }

    /// Why events can't be published or consumed although the server is connected.
    async fn stream_trouble(&self) -> Option<String> {
        let mut seen = self.stream.lock().await;
        let now = self.db.now();
        if let Some(seen) = &*seen
            && (0..GOOD_FOR).contains(&now.saturating_sub(seen.at))
        {
            return seen.trouble.clone();
        }
        let trouble = match tokio::time::timeout(ANSWER_WITHIN, self.bus.stream_state()).await {
            Ok(Ok(_)) => None,
            // The stream is not created here. Its disk may not be mounted, or it is about to be restored: an empty stream would
            // then take the events that are safe in the outboxes.
            Ok(Err(Error::NoStream(name))) => Some(format!(
                "the stream {name} is gone: restore it, or restart one service, which creates it again; the others go on by \
                 themselves then"
            )),
            Ok(Err(error)) => Some(format!("the stream {EVENTS} can't be asked: {error}")),
            Err(_) => Some(format!("the stream {EVENTS} does not answer within {ANSWER_WITHIN:?}")),
        };
        *seen = Some(Seen { at: now, trouble: trouble.clone() });
        trouble
    }

    /// The service.
    #[cfg(feature = "ops")]
    pub(crate) fn service(&self) -> &str {
        self.db.service()
    }

    /// The current time in microseconds since the Unix epoch, by the outbox's reference clock.
    #[cfg(feature = "ops")]
    pub(crate) fn now(&self) -> i64 {
        self.db.reference_now().as_microsecond()
    }
}
