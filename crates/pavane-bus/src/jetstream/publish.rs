use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    error::Error as _,
    hash::BuildHasher as _,
    sync::atomic::Ordering,
};

use async_nats::{
    HeaderMap, HeaderName, HeaderValue, Subject, SubjectError,
    jetstream::{
        self, ErrorCode,
        context::{PublishAckFuture, PublishErrorKind},
        message::PublishMessage,
    },
};
use tokio::{
    sync::SemaphorePermit,
    time::{Instant, timeout_at},
};

use super::{
    Inner, header_name,
    link::{Mark, Trouble},
    names::Names,
};
use crate::{Outgoing, PublishError, Receipt, message::MESSAGE_ID, metric};

type Published = Result<Receipt, PublishError>;

/// How many results are awaited at once when nothing more fits in flight: only a part, so that the server always has work.
const SETTLED_AT_ONCE: usize = 64;

/// What is sent in one go: ahead of the acks, which are received in order.
struct Batch<'a> {
    inner: &'a Inner,
    since: Mark,
    pending: VecDeque<Pending<'a>>,
    results: Vec<Published>,
    /// A message may not have been stored. Nothing is sent after it, so that little is stored out of order.
    stopped: bool,
}

/// A message whose result is awaited or known.
enum Pending<'a> {
    Sent(Sent<'a>),
    Failed(PublishError),
}

struct Sent<'a> {
    subject: Subject,
    ack: PublishAckFuture,
    deadline: Instant,
    /// Counts as in flight until the result is known.
    _permit: Option<SemaphorePermit<'a>>,
}

impl Inner {
    pub(super) async fn publish(&self, messages: Vec<Outgoing>) -> Vec<Published> {
        let deadline = Instant::now() + self.request_timeout;
        let mut places = Vec::with_capacity(messages.len());
        let mut batch = Batch {
            inner: self,
            since: self.link.mark(),
            pending: VecDeque::new(),
            results: Vec::with_capacity(messages.len()),
            stopped: false,
        };
        for wave in waves(messages) {
            // The caller has a lease, and other things to do.
            batch.stopped |= Instant::now() > deadline;
            for (place, message) in wave {
                places.push(place);
                batch.push(message).await;
            }
            batch.settle(usize::MAX).await;
        }
        record(&batch.results);
        let mut results: Vec<_> = places.into_iter().zip(batch.results).collect();
        results.sort_unstable_by_key(|(place, _)| *place);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

impl<'a> Batch<'a> {
    async fn push(&mut self, message: Outgoing) {
        let permit = self.permit().await;
        let next = if self.stopped {
            Err(PublishError::Unavailable(
                "not sent, because an earlier message of the batch failed or was slow".to_owned(),
            ))
        } else {
            self.send(message).await
        };
        self.pending.push_back(match next {
            Ok((subject, ack, deadline)) => Pending::Sent(Sent { subject, ack, deadline, _permit: permit }),
            Err(error) => {
                self.stopped |= may_pass(&error);
                Pending::Failed(error)
            }
        });
    }

    /// Gets a permit for one more in flight. It waits only while this batch holds none itself, so that two batches can't wait
    /// for each other.
    ///
    /// After a time-out there is one permit until an ack comes: a request that is never answered stays in the client's memory
    /// for good (nats-io/nats.rs#1617), and a server that hangs must not fill it.
    async fn permit(&mut self) -> Option<SemaphorePermit<'a>> {
        loop {
            let one_by_one = self.inner.suspect.load(Ordering::Relaxed);
            if (self.pending.is_empty() || !one_by_one)
                && let Ok(permit) = self.inner.in_flight.try_acquire()
            {
                return Some(permit);
            }
            if self.pending.is_empty() {
                // Never closed, so never an error.
                return self.inner.in_flight.acquire().await.ok();
            }
            self.settle(SETTLED_AT_ONCE).await;
        }
    }

    async fn send(&self, message: Outgoing) -> Result<(Subject, PublishAckFuture, Instant), PublishError> {
        let inner = self.inner;
        if !inner.connected() {
            return Err(PublishError::Unavailable(inner.not_connected()));
        }
        let (subject, message) = encode(message, &inner.names)?;
        let deadline = Instant::now() + inner.request_timeout;
        let concerned = [subject.as_str()];
        let ack = tokio::select! {
            biased;
            sent = inner.context.send_publish(subject.clone(), message) => sent.map_err(|error| refusal(&error))?,
            trouble = inner.link.troubled(self.since, &concerned) => return Err(trouble.into()),
        };
        Ok((subject, ack, deadline))
    }

    /// Waits for the results of the first messages, at most `most`.
    ///
    /// The last of them first: answers come in order, so the others are there by then, and this task is woken once and not for
    /// each.
    async fn settle(&mut self, most: usize) {
        let settled = self.pending.drain(..most.min(self.pending.len())).collect::<Vec<_>>();
        let start = self.results.len();
        for pending in settled.into_iter().rev() {
            let result = match pending {
                Pending::Sent(sent) => self.result(sent).await,
                Pending::Failed(error) => Err(error),
            };
            self.stopped |= result.as_ref().is_err_and(may_pass);
            self.results.push(result);
        }
        self.results[start..].reverse();
    }

    async fn result(&self, sent: Sent<'a>) -> Published {
        let inner = self.inner;
        let concerned = [sent.subject.as_str()];
        let answer = tokio::select! {
            biased;
            answer = timeout_at(sent.deadline, sent.ack) => answer,
            trouble = inner.link.troubled(self.since, &concerned) => return Err(trouble.into()),
        };
        let error = match answer {
            Ok(Ok(ack)) => {
                inner.suspect.store(false, Ordering::Relaxed);
                return Ok(Receipt { sequence: ack.sequence, duplicate: ack.duplicate });
            }
            Ok(Err(error)) if error.kind() != PublishErrorKind::TimedOut => return Err(refusal(&error)),
            Ok(Err(_)) | Err(_) => format!("no answer within {:?}", inner.request_timeout),
        };
        inner.suspect.store(true, Ordering::Relaxed);
        Err(PublishError::Unavailable(error))
    }
}

impl From<Trouble> for PublishError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Lost => Self::Unavailable("the connection was lost before the answer came".to_owned()),
            Trouble::Denied(text) => Self::Denied(text),
        }
    }
}

/// The messages with their places, in the order in which they are sent: of each key the first, then of each the second, and so on. Each wave
/// is sent when the one before has its acks: a leader that steps down may refuse a message, and its successor take one that is sent next.
/// Keys whose hashes are equal count as one.
fn waves(messages: Vec<Outgoing>) -> Vec<Vec<(usize, Outgoing)>> {
    let mut of_key: HashMap<u64, usize> = HashMap::with_capacity(messages.len());
    let mut waves: Vec<Vec<_>> = Vec::new();
    for (place, message) in messages.into_iter().enumerate() {
        let key = of_key.hasher().hash_one(key_of(&message.subject));
        let wave = of_key.entry(key).or_default();
        if waves.len() == *wave {
            waves.push(Vec::new());
        }
        waves[*wave].push((place, message));
        *wave += 1;
    }
    waves
}

/// The last token: an event's key.
fn key_of(subject: &str) -> &str {
    subject.rsplit('.').next().unwrap_or_default()
}

/// Checks everything that would make the client panic or the server not answer.
fn encode(message: Outgoing, names: &Names) -> Result<(Subject, PublishMessage), PublishError> {
    message.stream()?;
    let Outgoing { subject, headers, payload, message_id } = message;
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter() {
        map.insert(usable_name(name)?, header_value(name, value)?);
    }
    if map.len() < headers.iter().len() {
        // A name is there twice, which none of ours is: the slower way, which keeps both.
        map = HeaderMap::new();
        for (name, value) in headers.iter() {
            map.append(usable_name(name)?, header_value(name, value)?);
        }
    }
    map.insert(async_nats::header::NATS_MESSAGE_ID, header_value(MESSAGE_ID, &message_id)?);
    let subject = match names.subject(&subject) {
        Cow::Borrowed(_) => subject,
        Cow::Owned(mapped) => mapped,
    };
    Ok((Subject::from(subject), PublishMessage::build().payload(payload).headers(map)))
}

fn usable_name(name: &str) -> Result<HeaderName, PublishError> {
    match header_name(name) {
        Cow::Borrowed(name) => Ok(HeaderName::from_static(name)),
        Cow::Owned(name) => name
            .parse()
            .map_err(|error| PublishError::Refused(format!("the header name {name:?} is unusable: {error}"))),
    }
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, PublishError> {
    value.parse().map_err(|error| {
        PublishError::Refused(format!("the value {value:?} of the header {name} is unusable: {error}"))
    })
}

/// Tells what may be stored later from what never will. In doubt the message is retried.
fn refusal(error: &jetstream::context::PublishError) -> PublishError {
    let text = error.to_string();
    let refused = match error.kind() {
        PublishErrorKind::MaxPayloadExceeded
        | PublishErrorKind::WrongLastMessageId
        | PublishErrorKind::WrongLastSequence => true,
        PublishErrorKind::StreamNotFound
        | PublishErrorKind::TimedOut
        | PublishErrorKind::BrokenPipe
        | PublishErrorKind::MaxAckPending => false,
        PublishErrorKind::Other => error.source().is_some_and(|source| {
            // The server's 400 is about this message; 429 and 5xx are about its own state, for example a full stream.
            let bad_request = source.downcast_ref::<jetstream::Error>().is_some_and(|error| {
                error.code() == 400 && error.error_code() != ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
            });
            bad_request || source.is::<SubjectError>()
        }),
    };
    if refused { PublishError::Refused(text) } else { PublishError::Unavailable(text) }
}

fn record(results: &[Published]) {
    let mut counts = [("stored", 0), ("duplicate", 0), ("unavailable", 0), ("denied", 0), ("refused", 0)];
    for result in results {
        let index = match result {
            Ok(receipt) => usize::from(receipt.duplicate),
            Err(PublishError::Unavailable(_)) => 2,
            Err(PublishError::Denied(_)) => 3,
            Err(PublishError::Refused(_)) => 4,
        };
        counts[index].1 += 1;
    }
    for (result, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        metrics::counter!(metric::PUBLISHED, metric::RESULT => result).increment(count);
    }
}

/// Whether the message may be stored later.
fn may_pass(error: &PublishError) -> bool {
    matches!(error, PublishError::Unavailable(_) | PublishError::Denied(_))
}
