use std::time::Duration;

use async_nats::jetstream::{self, ErrorCode, response::Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Inner, link::Trouble};
use crate::{Error, StreamState, topology::EVENTS};

type RequestErrorKind = jetstream::context::RequestErrorKind;

/// The prefix of requests to the server's own JetStream.
pub(super) const API_PREFIX: &str = "$JS.API";

/// Why an API request failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server refused it.
    Refused(jetstream::Error),
    /// There was no usable answer.
    NoAnswer(Error),
}

impl Failure {
    pub(super) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(error) => Some(error.error_code()),
            Self::NoAnswer(_) => None,
        }
    }

    /// The error of a request about a stream.
    pub(super) fn about(self, stream: &str) -> Error {
        match self.code() {
            Some(ErrorCode::STREAM_NOT_FOUND) => Error::NoStream(stream.to_owned()),
            _ => self.into(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let error = match failure {
            Failure::NoAnswer(error) => return error,
            Failure::Refused(error) => error,
        };
        match error.error_code() {
            ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
                Self::Unsupported(format!("JetStream is not enabled ({error}); start the server with -js"))
            }
            ErrorCode::STREAM_NOT_FOUND => {
                Self::Other(format!("the stream does not exist ({error}); provision the topology first"))
            }
            // 503: no leader right now, or the stream is offline. The others: servers that have not found one another yet.
            ErrorCode::CLUSTER_NO_PEERS
            | ErrorCode::CLUSTER_NOT_ACTIVE
            | ErrorCode::CLUSTER_NOT_ASSIGNED
            | ErrorCode::CLUSTER_NOT_LEADER
            | ErrorCode::RAFT_GENERAL => Self::Unavailable(error.to_string()),
            _ if error.code() == 503 => Self::Unavailable(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}

impl Inner {
    /// The subject of a request, with the domain or prefix.
    pub(super) fn api_subject(&self, name: &str) -> String {
        format!("{}.{name}", self.api_prefix)
    }

    /// The subject to write a bucket's key to. Between domains, servers pass these subjects only as a part of the API.
    pub(super) fn key_subject(&self, subject: &str) -> String {
        let subject = self.names.subject(subject);
        if self.is_elsewhere() { self.api_subject(&subject) } else { subject.into_owned() }
    }

    /// Whether JetStream is behind a domain or an import.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.api_prefix != API_PREFIX
    }

    /// Sends a request to the `JetStream` API. `name` is the subject after `$JS.API.`, with the server's names.
    pub(super) async fn api<T>(&self, name: &str, payload: &(impl Serialize + Sync)) -> Result<T, Failure>
    where
        T: DeserializeOwned,
    {
        if !self.connected() {
            return Err(Failure::NoAnswer(Error::Unavailable(self.not_connected())));
        }
        let since = self.link.mark();
        let subject = self.api_subject(name);
        let concerned = [subject.as_str()];
        let error = tokio::select! {
            biased;
            answer = self.context.request::<_, _, Response<T>>(name.to_owned(), payload) => match answer {
                Ok(Response::Ok(answer)) => return Ok(answer),
                Ok(Response::Err { error }) => return Err(Failure::Refused(error)),
                Err(error) => error,
            },
            trouble = self.link.troubled(since, &concerned) => return Err(Failure::NoAnswer(match trouble {
                Trouble::Lost => Error::Unavailable(format!("the connection was lost while asking {subject}")),
                Trouble::Denied(text) => Error::Denied(text),
            })),
        };
        Err(Failure::NoAnswer(match error.kind() {
            // It may be a server that is starting.
            RequestErrorKind::NoResponders => Error::Unavailable(format!(
                "nobody answers {subject} at {}: JetStream is not enabled there, or has no leader yet; start the server with -js",
                self.link.url()
            )),
            RequestErrorKind::TimedOut => {
                Error::Unavailable(format!("no answer to {subject} within {:?}", self.request_timeout))
            }
            RequestErrorKind::InvalidSubject | RequestErrorKind::Other => {
                Error::Other(format!("{subject} failed: {error}"))
            }
        }))
    }

    pub(super) async fn stream_state(&self) -> Result<StreamState, Error> {
        /// The server's answer: the client's own type leaves out its time.
        #[derive(Deserialize)]
        struct Info {
            ts: Option<Timestamp>,
            created: Timestamp,
            state: End,
        }

        #[derive(Deserialize)]
        struct End {
            first_seq: u64,
            last_seq: u64,
        }

        let stream = self.names.stream(EVENTS);
        let answer = self.api::<Info>(&format!("STREAM.INFO.{stream}"), &()).await;
        let Info { ts, created, state } = answer.map_err(|failure| failure.about(&stream))?;
        let End { first_seq, last_seq } = state;
        // A stream that never had a message answers 0.
        Ok(StreamState { created, first_sequence: first_seq.max(1), last_sequence: last_seq, now: ts })
    }

    /// Reads from the stream's leader. A direct get may be answered by a replica that lags, which would look like a loss.
    pub(super) async fn message_id_at(&self, sequence: u64) -> Result<Option<String>, Error> {
        let request = serde_json::json!({ "seq": sequence });
        let stream = self.names.stream(EVENTS);
        let answer = self.api::<StoredMessage>(&format!("STREAM.MSG.GET.{stream}"), &request).await;
        let stored = match answer {
            Ok(stored) => stored,
            Err(failure) if failure.code() == Some(ErrorCode::NO_MESSAGE_FOUND) => return Ok(None),
            Err(failure) => return Err(failure.about(&stream)),
        };
        let message = jetstream::message::StreamMessage::try_from(stored.message)
            .map_err(|error| Error::Other(format!("message {sequence} can't be read: {error}")))?;
        Ok(message.headers.get(async_nats::header::NATS_MESSAGE_ID).map(ToString::to_string))
    }
}

#[derive(serde::Deserialize)]
pub(super) struct StoredMessage {
    pub(super) message: jetstream::stream::RawMessage,
}

pub(super) fn timestamp(nanoseconds: i128) -> Result<Timestamp, Error> {
    Timestamp::from_nanosecond(nanoseconds)
        .map_err(|error| Error::Other(format!("the server's time is unusable: {error}")))
}

/// The longest delay that the server's arithmetic on nanoseconds survives.
pub(super) const DELAY_MAX: Duration = Duration::from_hours(366 * 24);
