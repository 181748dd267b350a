//! What happened in a system that ran, and whether it was right.
//!
//! ```no_run
//! use std::time::Duration;
//! use pavane_testkit::history::Recorder;
//!
//! # async fn audited(nats: &str, order: &str, payment: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let mut recorder = Recorder::new(nats);
//! recorder.audit("order", order).await?; // the services have started; nothing has happened yet
//! recorder.audit("payment", payment).await?;
//! // … orders are placed, processes are killed, links are cut …
//! let (history, report) = recorder.settled(Duration::from_secs(60)).await?;
//! history.save("history.jsonl")?;
//! println!("{report}");
//! assert!(report.passed());
//! # Ok(())
//! # }
//! ```

mod facts;
mod laws;
mod record;
mod recorder;
mod report;
mod store;

use std::{
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    path::Path,
};

pub use record::{
    Answered, Audited, Called, Change, Disturbed, Emitted, GivenUp, Op, Published, Record, Row, Unreadable,
};
pub use recorder::Recorder;
pub use report::{Felt, Law, Report};

/// Why a history can't be recorded or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A service's database fails.
    #[error("the database of {service} fails")]
    Database {
        /// Which service.
        service: String,
        /// How.
        source: sqlx::Error,
    },
    /// The streams can't be read.
    #[error("the bus can't be read")]
    Bus(#[from] pavane_bus::Error),
    /// The file can't be read or written.
    #[error("the file can't be read or written")]
    File(#[from] std::io::Error),
    /// A record isn't one that this version knows.
    #[error("a record can't be read")]
    Unreadable(#[source] serde_json::Error),
}

/// What happened in a system: see [`Recorder`].
#[derive(Debug, Clone)]
pub struct History {
    records: Vec<Record>,
}

impl History {
    /// A history of these records. What a service wrote has to be in the order in which it wrote it.
    pub fn new(records: Vec<Record>) -> Self {
        Self { records }
    }

    /// All records.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Checks what must be true of every system that has come to rest.
    pub fn check(&self) -> Report {
        let facts = facts::Facts::of(&self.records);
        Report::new(laws::all(&facts), report::felt(&self.records))
    }

    /// Writes it to a file: a line of JSON for each record.
    ///
    /// # Errors
    ///
    /// When the file can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let mut file = BufWriter::new(File::create(path)?);
        for record in &self.records {
            serde_json::to_writer(&mut file, record).map_err(Error::Unreadable)?;
            file.write_all(b"\n")?;
        }
        Ok(file.flush()?)
    }

    /// Reads a file that [`save`](Self::save) wrote.
    ///
    /// # Errors
    ///
    /// When it can't be read, or has a line that is no record.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let lines = BufReader::new(File::open(path)?).lines();
        let records = lines.map(|line| serde_json::from_str(&line?).map_err(Error::Unreadable));
        Ok(Self { records: records.collect::<Result<_, _>>()? })
    }
}
