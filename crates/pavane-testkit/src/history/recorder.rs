//! Records what happens in a system that runs.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use pavane_bus::{
    JetStream,
    dead_letter::is_redrive,
    jetstream::{Config, Start, Stored},
    topology::{DEAD_LETTERS, DECLARATIONS_STREAM, EVENTS},
};
use pavane_contract::codec;
use tokio::time::{Instant, sleep};

use super::{
    Error, History, Report,
    record::{Emitted, GivenUp, Published, Record, Unreadable},
    store,
};
use crate::DeadLetter;

/// As the monitor and the command call themselves, it needs a name of its own.
const NAME: &str = "history";
const BATCH: usize = 1000;
const POLL: Duration = Duration::from_secs(1);

/// Records what the services of a system do while it runs, whatever happens to them, and reads it afterwards.
///
/// The services' databases are on PostgreSQL: there each commit writes down, by a trigger, which rows of the framework's tables it has
/// written. So nothing is missed, whoever dies.
pub struct Recorder {
    nats_url: String,
    /// Services, and where their databases are.
    databases: Vec<(String, String)>,
    noted: Mutex<Vec<Record>>,
}

impl Recorder {
    /// A recorder of a system on these NATS servers.
    pub fn new(nats_url: impl Into<String>) -> Self {
        Self { nats_url: nats_url.into(), databases: Vec::new(), noted: Mutex::default() }
    }

    /// Records the commits of a service from now on, by its name in its manifest. Its tables must be there: start it before, and let nothing
    /// happen until then. What an earlier recorder wrote is forgotten. Made for tests: the triggers and their table stay.
    ///
    /// The URL is that of the tables' owner.
    ///
    /// # Errors
    ///
    /// When the database can't be reached by the owner of the tables, isn't PostgreSQL, or has no tables of Pavane's.
    pub async fn audit(&mut self, service: impl Into<String>, database_url: impl Into<String>) -> Result<(), Error> {
        let (service, url) = (service.into(), database_url.into());
        store::audit(&url).await.map_err(|source| Error::Database { service: service.clone(), source })?;
        self.databases.push((service, url));
        Ok(())
    }

    /// Notes what only the caller knows: a [call](super::Called) to a provider, an [answer](super::Answered) over HTTP, a
    /// [disturbance](super::Disturbed).
    pub fn note(&self, record: impl Into<Record>) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).push(record.into());
    }

    /// Reads what has happened so far: what was noted, the services' declarations, the streams, and what each commit has written.
    ///
    /// # Errors
    ///
    /// When a database or the bus can't be reached.
    pub async fn read(&self) -> Result<History, Error> {
        let bus = JetStream::connect(Config::new(&self.nats_url, NAME)).await?;
        let mut records = Vec::new();
        // The streams first: an event that comes meanwhile is committed, and not yet published.
        let declared = all(&bus, DECLARATIONS_STREAM).await?;
        records.extend(declared.iter().filter(|stored| !stored.message.payload.is_empty()).map(|stored| {
            let declared = serde_json::from_slice(&stored.message.payload);
            declared.map_or_else(|error| unreadable(DECLARATIONS_STREAM, stored, &error), Record::Declared)
        }));
        records.extend(all(&bus, EVENTS).await?.iter().filter_map(published));
        records.extend(all(&bus, DEAD_LETTERS).await?.iter().filter_map(given_up));
        for (service, url) in &self.databases {
            let read = store::changes(service, url).await;
            records.extend(read.map_err(|source| Error::Database { service: service.clone(), source })?);
        }
        records.extend(self.noted.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        Ok(History::new(records))
    }

    /// Reads and checks again and again until nothing is wrong, or the time is up: what is under way isn't wrong yet.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), when it still fails in the end.
    pub async fn settled(&self, within: Duration) -> Result<(History, Report), Error> {
        let deadline = Instant::now() + within;
        loop {
            let read = self.read().await.map(|history| (history.check(), history));
            let is_over = Instant::now() > deadline;
            match read {
                Ok((report, history)) if report.passed() || is_over => return Ok((history, report)),
                Err(error) if is_over => return Err(error),
                Ok(_) | Err(_) => sleep(POLL).await,
            }
        }
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let services: Vec<_> = self.databases.iter().map(|(service, _)| service).collect();
        f.debug_struct("Recorder").field("services", &services).finish_non_exhaustive()
    }
}

/// What a stream has; nothing when there is no such stream.
async fn all(bus: &JetStream, stream: &str) -> Result<Vec<Stored>, Error> {
    let mut messages = Vec::new();
    if bus.stream_report(stream).await?.is_some() {
        let mut reader = bus.read(stream, &[], Start::First).await?;
        while reader.remaining() > 0 {
            messages.extend(reader.next(BATCH).await?);
        }
    }
    Ok(messages)
}

/// `None` for a redrive.
fn published(stored: &Stored) -> Option<Record> {
    let message = &stored.message;
    if is_redrive(message) {
        return None;
    }
    match codec::decode_on(&message.subject, &message.headers, message.payload.clone(), usize::MAX) {
        Ok(event) => {
            let (subject, event) = (message.subject.clone(), Emitted::of(&event.meta));
            Some(Record::Published(Published { sequence: stored.sequence, at: stored.at, subject, event }))
        }
        Err(error) => Some(unreadable(EVENTS, stored, &error)),
    }
}

fn unreadable(stream: &str, stored: &Stored, why: &dyn std::fmt::Display) -> Record {
    Record::Unreadable(Unreadable { at: (stream.to_owned(), stored.sequence), why: why.to_string() })
}

fn given_up(stored: &Stored) -> Option<Record> {
    let letter = DeadLetter::of(stored.sequence, &stored.message)?;
    let event = letter.event.map(|event| Emitted::of(&event.meta));
    let DeadLetter { service, reaction, cause, .. } = letter;
    Some(Record::GivenUp(GivenUp { at: stored.at, service, reaction, cause, event }))
}
