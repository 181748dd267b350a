//! The broker's answers about rows, and recording them: alone, or together with the next read.

use pavane_bus::{Bus, PublishError, Receipt, StreamState};
use tracing::error;

use super::{
    Error, Relay,
    store::{self, Refused, Sent, Unsent},
};
use crate::{CrashPoint, Database, metric};

/// The broker's answers about some rows, not recorded yet.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// When the stream that the rows went to was created, in microseconds since the Unix epoch.
    pub(super) stream_created: i64,
    pub(super) sent: Vec<Sent>,
    pub(super) refused: Vec<Refused>,
    pub(super) failure: Option<PublishError>,
}

impl Answers {
    pub(super) fn of(results: impl Iterator<Item = (i64, Result<Receipt, PublishError>)>, stream: StreamState) -> Self {
        let mut answers = Self { stream_created: stream.created.as_microsecond(), ..Self::default() };
        for (seq, result) in results {
            match result {
                Ok(receipt) => answers.sent.push((seq, i64::try_from(receipt.sequence).unwrap_or(i64::MAX))),
                Err(PublishError::Refused(why)) => {
                    error!(outbox_seq = seq, why, "the broker refuses an event for good");
                    answers.refused.push((seq, why));
                }
                Err(cause) => answers.failure = answers.failure.or(Some(cause)),
            }
        }
        answers
    }

    /// The rows that they are about.
    pub(super) fn seqs(&self) -> impl Iterator<Item = i64> {
        self.sent.iter().map(|(seq, _)| *seq).chain(self.refused.iter().map(|(seq, _)| *seq))
    }
}

impl<DB: Database, B: Bus> Relay<DB, B> {
    /// Records the answers that aren't recorded yet.
    pub(super) async fn record_answers(&mut self) -> Result<(), Error> {
        if !self.record(&self.answers).await? {
            self.lose_lease();
        }
        self.answers = Answers::default();
        Ok(())
    }

    /// Records the answers that aren't recorded yet, and reads the next rows. `None` when another instance has the lease.
    pub(super) async fn record_and_read(&mut self) -> Result<Option<Vec<Unsent>>, Error> {
        if self.answers.sent.is_empty() {
            self.record_answers().await?;
            return self.read(&[]).await.map(Some);
        }
        self.record_refused(&self.answers).await?;
        let acknowledged = (self.answers.sent.as_slice(), self.answers.stream_created);
        let read =
            self.db.within(store::mark_and_read(&self.db, &self.lease.owner, acknowledged, self.window.rows())).await?;
        self.answers = Answers::default();
        if read.is_none() {
            self.lose_lease();
        }
        self.db.crash_point(CrashPoint::AfterMark).await;
        Ok(read)
    }

    /// Records answers. `false` when another instance has the lease.
    pub(super) async fn record(&self, answers: &Answers) -> Result<bool, Error> {
        self.record_refused(answers).await?;
        if answers.sent.is_empty() {
            return Ok(true);
        }
        let acknowledged = (answers.sent.as_slice(), answers.stream_created);
        Ok(self.db.within(store::mark_sent(&self.db, &self.lease.owner, acknowledged)).await?)
    }

    async fn record_refused(&self, answers: &Answers) -> Result<(), Error> {
        if answers.refused.is_empty() {
            return Ok(());
        }
        Ok(self.db.within(store::mark_refused(&self.db, &answers.refused)).await?)
    }

    /// Counts answers in the metrics.
    pub(super) fn count(&self, answers: &Answers) {
        let count = |name, rows: usize| {
            if rows > 0 {
                metrics::counter!(name, "service" => self.db.service().to_owned()).increment(rows as u64);
            }
        };
        count(metric::PUBLISHED, answers.sent.len());
        count(metric::REFUSED, answers.refused.len());
    }
}
