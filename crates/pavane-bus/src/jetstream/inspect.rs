//! What the server reports about itself, its streams and its consumers: for `pavane doctor` and the monitor.

mod answer;

use std::time::Duration;

use async_nats::jetstream::{ErrorCode, message::StreamMessage, stream::RawMessage};
use pavane_contract::Timestamp;
use serde_json::{Value, json};

use answer::{Account, Consumers, Deleted, StreamInfo};

use super::{
    Inner, JetStream,
    api::{Failure, StoredMessage, timestamp},
    reader::Stored,
    subscription::decode,
};
use crate::{Error, Message, topology::DEAD_LETTERS};

/// The server that the client is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerReport {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The cluster that it belongs to.
    pub cluster: Option<String>,
    /// The largest message that it takes, in bytes.
    pub max_payload: usize,
    /// Bytes on disk of the account's streams.
    pub storage: u64,
    /// The account's limit for them; `None` for no limit but the disk.
    pub storage_max: Option<u64>,
    /// How many streams the account has.
    pub streams: u64,
    /// How many consumers the account has.
    pub consumers: u64,
}

/// A stream as it is on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamReport {
    /// Its name at the server, with the namespace.
    pub name: String,
    /// The time of this report by the server's clock; `None` from a server that doesn't say.
    pub at: Option<Timestamp>,
    /// When it was created.
    pub created: Timestamp,
    /// Its subjects, without the namespace.
    pub subjects: Vec<String>,
    /// Messages that it has.
    pub messages: u64,
    /// Bytes that it takes.
    pub bytes: u64,
    /// The oldest sequence that it has; one more than the last when it is empty.
    pub first_sequence: u64,
    /// The last sequence that it gave out.
    pub last_sequence: u64,
    /// How long it keeps a message; zero means for ever.
    pub max_age: Duration,
    /// Its size limit in bytes; `None` for none of its own.
    pub max_bytes: Option<u64>,
    /// How long it recognises a message id.
    pub duplicate_window: Duration,
    /// How many copies it has.
    pub replicas: usize,
    /// `file` or `memory`.
    pub storage: String,
    /// `limits`, `interest` or `workqueue`.
    pub retention: String,
    /// What it does when it is full: `old` drops old messages, `new` refuses new ones.
    pub discard: String,
}

/// How far a consumer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Position {
    /// The sequence in the stream.
    pub sequence: u64,
    /// When it last moved, by the server's clock.
    pub active: Option<Timestamp>,
}

/// A consumer of a stream as it is on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerReport {
    /// Its name: `<service>_<reaction>` for a reaction.
    pub name: String,
    /// Whether it survives its clients.
    pub durable: bool,
    /// The time of this report by the server's clock; `None` from a server that doesn't say.
    pub at: Option<Timestamp>,
    /// When it was created.
    pub created: Timestamp,
    /// Its filters, without the namespace; empty for everything.
    pub filters: Vec<String>,
    /// How long a delivery may stay unsettled.
    pub ack_wait: Duration,
    /// How many may be unsettled at once; `None` for no limit.
    pub max_ack_pending: Option<u64>,
    /// How often one message is delivered at most; `None` for no limit.
    pub max_deliver: Option<u64>,
    /// `explicit` for a reaction's.
    pub ack_policy: String,
    /// `all` for a reaction's.
    pub deliver_policy: String,
    /// The last message that was delivered.
    pub delivered: Position,
    /// The position up to which everything is settled.
    pub settled: Position,
    /// Messages that were not delivered yet: the lag.
    pub pending: u64,
    /// Messages that were delivered and are not settled.
    pub in_flight: u64,
    /// How many of these were delivered more than once.
    pub redelivered: u64,
    /// Pulls that wait at the server: zero when no client is waiting for messages.
    pub waiting_pulls: u64,
    /// Whether it is paused.
    pub paused: bool,
}

impl ConsumerReport {
    /// A durable consumer without deliveries, for tests of code that reads reports.
    pub fn new(name: impl Into<String>, created: Timestamp) -> Self {
        let nowhere = Position { sequence: 0, active: None };
        Self {
            name: name.into(),
            durable: true,
            at: None,
            created,
            filters: Vec::new(),
            ack_wait: Duration::ZERO,
            max_ack_pending: None,
            max_deliver: None,
            ack_policy: "explicit".to_owned(),
            deliver_policy: "all".to_owned(),
            delivered: nowhere,
            settled: nowhere,
            pending: 0,
            in_flight: 0,
            redelivered: 0,
            waiting_pulls: 0,
            paused: false,
        }
    }
}

impl Position {
    /// A position, and when it was reached.
    pub const fn new(sequence: u64, active: Option<Timestamp>) -> Self {
        Self { sequence, active }
    }
}

impl JetStream {
    /// Reports on the server.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached or permissions forbid it (`$JS.API.INFO`).
    pub async fn server_report(&self) -> Result<ServerReport, Error> {
        let server = self.inner.client.server_info();
        let account: Account = self.inner.api("INFO", &()).await?;
        Ok(ServerReport {
            name: server.server_name,
            version: server.version,
            cluster: server.cluster,
            max_payload: server.max_payload,
            storage: account.storage,
            storage_max: u64::try_from(account.limits.max_storage).ok(),
            streams: account.streams,
            consumers: account.consumers,
        })
    }

    /// Reports on a stream; `None` when it doesn't exist.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached or permissions forbid it.
    pub async fn stream_report(&self, stream: &str) -> Result<Option<StreamReport>, Error> {
        let names = &self.inner.names;
        let name = format!("STREAM.INFO.{}", names.stream(stream));
        let asked: Result<StreamInfo, Failure> = self.inner.api(&name, &()).await;
        let mut report = found(asked, ErrorCode::STREAM_NOT_FOUND)?.map(StreamReport::from);
        if let Some(report) = &mut report {
            report.subjects = std::mem::take(&mut report.subjects).into_iter().map(|it| names.local(it)).collect();
        }
        Ok(report)
    }

    /// The consumers of a stream, by name; empty when the stream doesn't exist.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached or permissions forbid it.
    pub async fn consumer_reports(&self, stream: &str) -> Result<Vec<ConsumerReport>, Error> {
        let names = &self.inner.names;
        let name = format!("CONSUMER.LIST.{}", names.stream(stream));
        let mut reports: Vec<ConsumerReport> = Vec::new();
        loop {
            let request = json!({ "offset": reports.len() });
            let asked: Result<Consumers, Failure> = self.inner.api(&name, &request).await;
            let Some(page) = found(asked, ErrorCode::STREAM_NOT_FOUND)? else { break };
            let listed = page.consumers.len();
            reports.extend(page.consumers.into_iter().map(ConsumerReport::from));
            if listed == 0 || reports.len() >= page.total {
                break;
            }
        }
        for report in &mut reports {
            report.filters = std::mem::take(&mut report.filters).into_iter().map(|it| names.local(it)).collect();
        }
        reports.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(reports)
    }

    /// One message of a stream, from its leader; `None` when nothing is stored there (any more).
    ///
    /// # Errors
    ///
    /// When the bus can't be reached or permissions forbid it.
    pub async fn stored(&self, stream: &str, sequence: u64) -> Result<Option<Stored>, Error> {
        Ok(self.inner.stored(stream, sequence).await?)
    }

    /// Deletes one message of a stream. `false` when it wasn't there.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached or permissions forbid it.
    pub async fn delete_stored(&self, stream: &str, sequence: u64) -> Result<bool, Error> {
        let request = json!({ "seq": sequence, "no_erase": true });
        let name = format!("STREAM.MSG.DELETE.{}", self.inner.names.stream(stream));
        let asked = self.inner.api::<Deleted>(&name, &request).await;
        match asked {
            Ok(deleted) => Ok(deleted.success),
            Err(Failure::Refused(_)) if self.stored(stream, sequence).await?.is_none() => Ok(false),
            Err(failure) => Err(failure.into()),
        }
    }
}

impl Inner {
    /// One message of a stream; `None` when nothing is stored there (any more).
    pub(super) async fn stored(&self, stream: &str, sequence: u64) -> Result<Option<Stored>, Failure> {
        // Sequences begin at 1; the server takes 0 for a request without one, and refuses it.
        if sequence == 0 {
            return Ok(None);
        }
        self.message(stream, &json!({ "seq": sequence })).await
    }

    /// The first message after a sequence that a filter matches.
    pub(super) async fn stored_behind(
        &self,
        stream: &str,
        filter: &str,
        after: u64,
    ) -> Result<Option<Stored>, Failure> {
        self.message(stream, &json!({ "seq": after + 1, "next_by_subj": self.names.subject(filter) })).await
    }

    /// The first sequence that a stream has, and the last one that it assigned.
    pub(super) async fn bounds(&self, stream: &str) -> Result<(u64, u64), Failure> {
        let info: StreamInfo = self.api(&format!("STREAM.INFO.{}", self.names.stream(stream)), &()).await?;
        let StreamReport { first_sequence, last_sequence, .. } = info.into();
        Ok((first_sequence, last_sequence))
    }

    async fn message(&self, stream: &str, request: &Value) -> Result<Option<Stored>, Failure> {
        let name = format!("STREAM.MSG.GET.{}", self.names.stream(stream));
        let ask = || async {
            match self.api::<StoredMessage>(&name, request).await {
                Ok(stored) => Ok(Some(stored.message)),
                Err(failure) if failure.code() == Some(ErrorCode::NO_MESSAGE_FOUND) => Ok(None),
                Err(failure) => Err(failure),
            }
        };
        let Some(raw) = ask().await? else { return Ok(None) };
        let sequence = raw.sequence;
        let message = if let Ok(message) = StreamMessage::try_from(raw) {
            message
        } else {
            // A publisher may send headers that can't be decoded. The message is then read without any.
            let Some(again) = ask().await? else { return Ok(None) };
            StreamMessage::try_from(RawMessage { headers: None, ..again }).map_err(|error| {
                Failure::NoAnswer(Error::Other(format!("message {sequence} can't be read: {error}")))
            })?
        };
        let at = timestamp(message.time.unix_timestamp_nanos()).map_err(Failure::NoAnswer)?;
        let headers = decode(Some(&message.headers));
        let message =
            Message { subject: self.names.local(message.subject.into_string()), headers, payload: message.payload };
        Ok(Some(Stored { sequence, at, message }))
    }

    pub(super) async fn dead_letter_at(&self, sequence: u64) -> Result<Option<Message>, Error> {
        match self.stored(DEAD_LETTERS, sequence).await {
            Ok(stored) => Ok(stored.map(|stored| stored.message)),
            Err(failure) => Err(failure.about(&self.names.stream(DEAD_LETTERS))),
        }
    }
}

/// `None` where the stream or consumer doesn't exist.
fn found<T>(asked: Result<T, Failure>, missing: ErrorCode) -> Result<Option<T>, Error> {
    match asked {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.code() == Some(missing) => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}
