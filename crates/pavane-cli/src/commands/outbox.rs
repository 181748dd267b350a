//! `pavane outbox`: what the NATS server refused for good, in the database of the service that emitted it.

use std::{fmt, time::Duration};

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use pavane_contract::{Clock as _, SystemClock, Timestamp};
use pavane_outbox::{Config, Db, RefusedEvent};
use serde::Serialize;

use crate::{
    columns::Columns,
    output::{Exit, Output},
    style::{BAD, FAINT, GOOD, Styled},
    words,
};

/// How many are read at most: if there are more, they have one cause.
const MOST: u32 = 10_000;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List them, and why.
    ///
    /// Exit status 1 when there is one.
    List(Place),
    /// Send them again: the service's relay publishes them, in their old order.
    Retry(Retry),
}

/// The database of the outbox.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The service's own database: `postgres://…` or `sqlite:file.db`.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database: String,
}

#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    place: Place,
    /// Their numbers, as `list` shows them.
    #[arg(value_name = "NUMBER")]
    numbers: Vec<i64>,
    /// All of them.
    #[arg(long, conflicts_with = "numbers")]
    all: bool,
}

/// A refused event, as it is shown.
#[derive(Debug, Serialize)]
struct Refused {
    number: i64,
    id: String,
    subject: String,
    bytes: i64,
    emitted_at: Timestamp,
    why: String,
}

#[derive(Debug, Serialize)]
struct List {
    as_of: Timestamp,
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Retried {
    sent_again: u64,
}

pub(crate) async fn run(command: &Command, patience: u64, output: Output) -> anyhow::Result<Exit> {
    match command {
        Command::List(place) => {
            let refused = place.refused(&place.open(patience).await?).await?;
            let list = List { as_of: SystemClock.now(), refused: refused.into_iter().map(Refused::of).collect() };
            output.answer(&list)?;
            Ok(Exit::found(!list.refused.is_empty()))
        }
        Command::Retry(retry) => {
            output.answer(&retry.run(patience).await?)?;
            Ok(Exit::Fine)
        }
    }
}

impl Retry {
    async fn run(&self, patience: u64) -> anyhow::Result<Retried> {
        ensure!(self.all || !self.numbers.is_empty(), "no events are named; give their numbers or --all");
        let db = self.place.open(patience).await?;
        let refused: Vec<i64> = self.place.refused(&db).await?.iter().map(|event| event.number).collect();
        let missing: Vec<String> =
            self.numbers.iter().filter(|number| !refused.contains(number)).map(ToString::to_string).collect();
        ensure!(missing.is_empty(), "there is no refused event {}", missing.join(", "));
        let numbers = if self.all { &refused } else { &self.numbers };
        Ok(Retried { sent_again: db.retry_refused(numbers).await.context("failed to send them again")? })
    }
}

impl Place {
    async fn open(&self, patience: u64) -> anyhow::Result<Db<sqlx::Any>> {
        // A mistyped file name must not create an empty database in which nothing was refused.
        let is_new = self.database.starts_with("sqlite:") && !self.database.contains("mode=");
        let separator = if self.database.contains('?') { '&' } else { '?' };
        let url = if is_new { format!("{}{separator}mode=rw", self.database) } else { self.database.clone() };
        let mut config = Config::new("pavane", url);
        config.connections = 1;
        config.acquire_timeout = Duration::from_secs(patience.max(1));
        Db::open(config).await.context("failed to open the database")
    }

    async fn refused(&self, db: &Db<sqlx::Any>) -> anyhow::Result<Vec<RefusedEvent>> {
        db.refused(MOST).await.context("failed to read the outbox")
    }
}

impl Refused {
    fn of(event: RefusedEvent) -> Self {
        let RefusedEvent { number, id, subject, bytes, emitted_at, why, .. } = event;
        Self { number, id: id.to_string(), subject, bytes, emitted_at, why }
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.refused.is_empty() {
            return write!(f, "{}", Styled(GOOD, "nothing is refused"));
        }
        let mut lines = Columns::default();
        for event in &self.refused {
            let ago = format!("{} ago", words::since(event.emitted_at, self.as_of));
            let (bytes, why) = (format!("{} bytes", event.bytes), Styled(BAD, &event.why));
            lines.row([&event.number, &event.subject, &bytes, &Styled(FAINT, ago), &why]);
        }
        write!(f, "{lines}")
    }
}

impl fmt::Display for Retried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sent again", words::counted(self.sent_again, "event"))
    }
}
