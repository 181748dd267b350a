//! Reads what a view is made of: declarations, events, dead letters, decisions, and how the consumers are.

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
/// How often consumers and the stream's end are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Reads the streams of a deployment, from the beginning and then live.
///
/// It only reads: it leaves nothing at the server, and nobody depends on it. Streams that don't exist yet are waited for.
#[derive(Debug)]
pub struct Feed {
    bus: JetStream,
    declarations: Source,
    events: Source,
    dead_letters: Source,
    audit: Source,
    /// Events that were read and are not told yet: the dead letter of a redrive among them has to be fetched first.
    untold: VecDeque<Stored>,
    /// Those before them, told.
    told: Vec<Update>,
    looks: tokio::time::Interval,
    /// When the events stream was created, to notice another one of that name.
    created: Option<Timestamp>,
    /// The stream's end at the last look, and whether anything was read since.
    last_end: Option<u64>,
    loaded: bool,
}

/// One stream: where reading is, and a reader while there is one.
#[derive(Debug)]
struct Source {
    stream: &'static str,
    filters: Vec<String>,
    after: u64,
    reader: Option<Reader>,
}

impl Feed {
    /// Begins to read. What can't be read yet is tried again by [`next`](Self::next).
    pub fn new(bus: JetStream) -> Self {
        Self::filtered(bus, Vec::new())
    }

    /// Reads only what is about one key, which the server finds by itself: for a look at one order among millions. Where a
    /// saga has events about several keys, the others are missing.
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
    /// When the bus can't be reached. Call it again, later: it goes on where it was.
    pub async fn next(&mut self) -> Result<Vec<Update>, Error> {
        if !self.loaded {
            return self.load().await;
        }
        if !self.untold.is_empty() {
            return self.tell().await;
        }
        // What is declared explains what happened, so it is read first also where both began to be there after the start.
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

    /// Reads everything that is there, and returns it as one view's worth of updates: for a look at a moment, without
    /// following. `apply` is given one batch after the other.
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

    /// The next batch of what was there at the start. In this order, so that each is understood by what came before.
    async fn load(&mut self) -> Result<Vec<Update>, Error> {
        if !self.untold.is_empty() {
            return self.tell().await;
        }
        if self.created.is_none() {
            // The consumers first: what they have handled long ago then needs no second thought.
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

    /// Tells the events that were read. Cancel-safe: what is not told yet waits.
    async fn tell(&mut self) -> Result<Vec<Update>, Error> {
        while let Some(stored) = self.untold.front() {
            self.told.push(if is_redrive(&stored.message) {
                let letter = match letter_of(&stored.message) {
                    // Boxed, because what asks the server is large, and this is seldom.
                    Ok(letter) => Box::pin(self.bus.stored(DEAD_LETTERS, letter)).await,
                    Err(_) => Ok(None),
                };
                match letter {
                    Ok(letter) => update::redrive(stored, letter.as_ref()),
                    // It would not be another answer the next time.
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

    /// Looks at the consumers and the stream's end, and opens what could not be read before.
    async fn look(&mut self) -> Result<Vec<Update>, Error> {
        let mut updates = Vec::new();
        let Some(report) = self.bus.stream_report(EVENTS).await? else { return Ok(updates) };
        if self.created.is_some_and(|created| created != report.created) {
            self.events = Source { filters: std::mem::take(&mut self.events.filters), ..Source::new(EVENTS) };
            updates.push(Update::Restarted);
        }
        self.created = Some(report.created);
        self.open().await?;
        // A server that doesn't say the time says it with the next event.
        let Some(at) = report.at else { return Ok(updates) };
        let last_sequence = report.last_sequence;
        // Where the last messages were deleted, silence tells that the end was reached. Among the events of one key there
        // need not be the last one of all.
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

    /// What there is to read, as far as it is known; `None` when nothing is. What was there and is gone meanwhile, purged or
    /// too old, is not waited for.
    async fn rest(&mut self) -> Result<Option<Vec<Stored>>, Error> {
        const PATIENCE: Duration = Duration::from_secs(30);
        if !self.has_more() {
            return Ok(None);
        }
        timeout(PATIENCE, self.next()).await.ok().transpose()
    }

    /// Waits for messages; for ever while there is no reader.
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
