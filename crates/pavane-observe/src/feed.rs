//! Reads the input of a view: declarations, events, dead letters, decisions, and the state of the consumers.

use std::{collections::VecDeque, time::Duration};

use pavane_bus::{
    JetStream,
    dead_letter::{is_redrive, letter_of},
    jetstream::{Reader, Start, Stored},
    topology::{AUDIT, DEAD_LETTERS, DECLARATIONS_STREAM, EVENTS},
};
use pavane_contract::{Key, Timestamp, subject};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::{Error, Update, update};

/// Most messages in one batch of updates: applying one takes some milliseconds.
const BATCH_MAX: usize = 4096;
/// How often the consumers and the stream's end are read.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Reads the streams of a deployment, from the beginning and then live.
///
/// It only reads, and leaves nothing at the server. It waits for streams that don't exist yet.
#[derive(Debug)]
pub struct Feed {
    bus: JetStream,
    declarations: Source,
    events: Source,
    dead_letters: Source,
    audit: Source,
    /// Events that were read but not returned: a redrive among them needs its dead letter fetched first.
    untold: VecDeque<Stored>,
    /// The updates of those before them.
    told: Vec<Update>,
    looks: tokio::time::Interval,
    /// When the events stream was created, to notice a new one of that name.
    created: Option<Timestamp>,
    /// The stream's last sequence at the last look, and whether anything was read since.
    last_end: Option<u64>,
    loaded: bool,
}

/// One stream: the position, and a reader while there is one.
#[derive(Debug)]
struct Source {
    stream: &'static str,
    filters: Vec<String>,
    after: u64,
    reader: Option<Reader>,
}

impl Feed {
    /// Begins to read. [`next`](Self::next) tries again what can't be read yet.
    pub fn new(bus: JetStream) -> Self {
        Self::filtered(bus, Vec::new())
    }

    /// Reads only messages about one key, which the server selects: for one order among millions. If a saga has events about
    /// several keys, the others are missing.
    pub fn about(bus: JetStream, key: &Key) -> Self {
        let key = subject::encode(key);
        Self::filtered(bus, vec![format!("events.*.*.{key}"), format!("redrive.*.*.events.*.*.{key}")])
    }

    fn filtered(bus: JetStream, filters: Vec<String>) -> Self {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            bus,
            declarations: Source::new(DECLARATIONS_STREAM),
            events: Source { filters, ..Source::new(EVENTS) },
            dead_letters: Source::new(DEAD_LETTERS),
            audit: Source::new(AUDIT),
            untold: VecDeque::new(),
            told: Vec::new(),
            looks,
            created: None,
            last_end: None,
            loaded: false,
        }
    }

    /// Whether everything that was in the streams at the start has been read.
    pub const fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Waits for the next updates and returns those that are there. Cancel-safe.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached. Call it again later: it continues where it was.
    pub async fn next(&mut self) -> Result<Vec<Update>, Error> {
        if !self.loaded {
            return self.load().await;
        }
        if !self.untold.is_empty() {
            return self.tell().await;
        }
        // Declarations explain events, so they are read first, also where both streams were created after the start.
        if let Some(stored) = self.declarations.rest().await? {
            return Ok(declarations(&stored));
        }
        tokio::select! {
            biased;
            _ = self.looks.tick() => self.look().await,
            stored = self.declarations.next() => Ok(declarations(&stored?)),
            stored = self.events.next() => {
                self.last_end = None;
                self.untold.extend(stored?);
                self.tell().await
            }
            stored = self.dead_letters.next() => Ok(dead_letters(&stored?)),
            stored = self.audit.next() => Ok(decisions(&stored?)),
        }
    }

    /// Reads everything that is there, without following: for a view of this moment. Calls `apply` with one batch after the
    /// other.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached.
    pub async fn load_into(&mut self, mut apply: impl FnMut(Vec<Update>)) -> Result<(), Error> {
        while !self.loaded {
            apply(self.load().await?);
        }
        apply(self.look().await?);
        Ok(())
    }

    /// The next batch of what was there at the start, in an order in which each update is explained by those before.
    async fn load(&mut self) -> Result<Vec<Update>, Error> {
        if !self.untold.is_empty() {
            return self.tell().await;
        }
        if self.created.is_none() {
            // The consumers first: events that they handled long ago then need no second judgement.
            let updates = self.look().await?;
            if !updates.is_empty() {
                return Ok(updates);
            }
        }
        self.open().await?;
        if let Some(stored) = self.declarations.rest().await? {
            return Ok(declarations(&stored));
        }
        if let Some(stored) = self.events.rest().await? {
            self.untold.extend(stored);
            return self.tell().await;
        }
        if let Some(stored) = self.dead_letters.rest().await? {
            return Ok(dead_letters(&stored));
        }
        if let Some(stored) = self.audit.rest().await? {
            return Ok(decisions(&stored));
        }
        self.loaded = true;
        self.look().await
    }

    /// Returns the updates of events that were read. Cancel-safe: the others stay for the next call.
    async fn tell(&mut self) -> Result<Vec<Update>, Error> {
        while let Some(stored) = self.untold.front() {
            self.told.push(if is_redrive(&stored.message) {
                let letter = match letter_of(&stored.message) {
                    // Boxed, because the future of a request is large and this is rare.
                    Ok(letter) => Box::pin(self.bus.stored(DEAD_LETTERS, letter)).await,
                    Err(_) => Ok(None),
                };
                match letter {
                    Ok(letter) => update::redrive(stored, letter.as_ref()),
                    // The next attempt would get the same answer.
                    Err(pavane_bus::Error::Other(_)) => update::redrive(stored, None),
                    Err(error) => return Err(error.into()),
                }
            } else {
                update::event(stored)
            });
            self.untold.pop_front();
        }
        Ok(std::mem::take(&mut self.told))
    }

    /// Reads the state of the consumers and the stream's end, and opens what could not be opened before.
    async fn look(&mut self) -> Result<Vec<Update>, Error> {
        let mut updates = Vec::new();
        let Some(report) = self.bus.stream_report(EVENTS).await? else { return Ok(updates) };
        if self.created.is_some_and(|created| created != report.created) {
            self.events = Source { filters: std::mem::take(&mut self.events.filters), ..Source::new(EVENTS) };
            updates.push(Update::Restarted);
        }
        self.created = Some(report.created);
        self.open().await?;
        // Where the server doesn't report its time, the next event has it.
        let Some(at) = report.at else { return Ok(updates) };
        let last_sequence = report.last_sequence;
        // Where the last messages were deleted, silence means that the end was reached. With one key only, the last event of all
        // need not be among those read.
        let quiet =
            !self.events.has_more() && (self.last_end == Some(last_sequence) || !self.events.filters.is_empty());
        let (reached, loaded) = (self.events.after >= last_sequence || quiet, self.loaded);
        self.last_end = Some(last_sequence);
        let reports = self.bus.consumer_reports(EVENTS).await?;
        updates.push(Update::Consumers { at, reports });
        updates.push(Update::End { at, last_sequence, reached, loaded });
        if let Some(dead) = self.bus.stream_report(DEAD_LETTERS).await? {
            updates.push(Update::DeadLettersFrom(dead.first_sequence));
        }
        Ok(updates)
    }

    async fn open(&mut self) -> Result<(), Error> {
        for source in [&mut self.declarations, &mut self.events, &mut self.dead_letters, &mut self.audit] {
            if source.reader.is_none() && self.bus.stream_report(source.stream).await?.is_some() {
                let start = if source.after == 0 { Start::First } else { Start::Sequence(source.after + 1) };
                let filters: Vec<&str> = source.filters.iter().map(String::as_str).collect();
                source.reader = Some(self.bus.read(source.stream, &filters, start).await?);
            }
        }
        Ok(())
    }
}

impl Source {
    const fn new(stream: &'static str) -> Self {
        Self { stream, filters: Vec::new(), after: 0, reader: None }
    }

    fn has_more(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.remaining() > 0)
    }

    /// The rest of what was there at the start; `None` when everything was read. Messages that were purged or expired meanwhile
    /// are not waited for.
    async fn rest(&mut self) -> Result<Option<Vec<Stored>>, Error> {
        const PATIENCE: Duration = Duration::from_secs(30);
        if !self.has_more() {
            return Ok(None);
        }
        timeout(PATIENCE, self.next()).await.ok().transpose()
    }

    /// Waits for messages; never completes while there is no reader.
    async fn next(&mut self) -> Result<Vec<Stored>, Error> {
        let Some(reader) = &mut self.reader else { return std::future::pending().await };
        match reader.next(BATCH_MAX).await {
            Ok(stored) => {
                self.after = stored.last().map_or(self.after, |last| last.sequence);
                Ok(stored)
            }
            Err(error) => {
                self.reader = None;
                Err(error.into())
            }
        }
    }
}

fn declarations(stored: &[Stored]) -> Vec<Update> {
    stored.iter().filter_map(update::declaration).collect()
}

fn dead_letters(stored: &[Stored]) -> Vec<Update> {
    stored.iter().filter_map(update::dead_letter).map(|letter| Update::DeadLetter(Box::new(letter))).collect()
}

fn decisions(stored: &[Stored]) -> Vec<Update> {
    stored.iter().filter_map(update::decision).collect()
}
