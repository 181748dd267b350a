//! The bus of a simulation: the one in memory, with everything that goes over it written down, and planted mistakes made.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pavane::SagaId;
use pavane_bus::{
    Bus, ConsumerConfig, ConsumerPosition, Delivery, Error, Health, Memory, Message, Outgoing, PublishError, Receipt,
    Settle, StreamState, Subscription, Topology, memory,
};
use pavane_contract::codec::{Headers, header};
use pavane_inbox::dead_letter::{Address, DEAD};

use super::{Bug, Fault, chaos::Chaos};

/// One process's connection to the bus of a simulation.
#[derive(Debug, Clone)]
pub struct SimulatedBus {
    memory: Memory,
    chaos: Arc<Chaos>,
    /// Dead letters that count as kept, and are stored with what is published next.
    late: Arc<Mutex<Vec<Outgoing>>>,
}

/// An open consumer of a simulation's bus.
#[derive(Debug)]
pub struct SimulatedSubscription {
    inner: memory::Subscription,
    wire: SimulatedBus,
    durable: String,
    /// The newest event that came so far, and over which connection.
    newest: (u64, u64),
}

/// A delivery whose settlement is written down, or goes wrong as planted.
struct Watched {
    inner: Option<Delivery>,
    wire: SimulatedBus,
    /// Its durable consumer and event id.
    key: (String, String),
    saga: Option<SagaId>,
    what: String,
}

impl SimulatedBus {
    pub(super) fn new(memory: Memory, chaos: Arc<Chaos>) -> Self {
        Self { memory, chaos, late: Arc::default() }
    }

    fn has(&self, bug: Bug) -> bool {
        self.chaos.bug == Some(bug)
    }

    fn publish_now(&self, messages: Vec<Outgoing>) -> Vec<Result<Receipt, PublishError>> {
        let ids: Vec<_> = messages.iter().map(|message| message.message_id.clone()).collect();
        let mut outcomes = self.memory.try_publish(messages);
        outcomes.iter().filter(|outcome| outcome.is_err()).for_each(|_| self.chaos.saw(Fault::UnansweredPublish));
        let last = outcomes.iter().rposition(Result::is_ok).unwrap_or_default();
        for (at, (outcome, id)) in outcomes.iter_mut().zip(ids).enumerate() {
            let passed_over = self.has(Bug::SequenceCursor) && at < last;
            if outcome.is_err() && (passed_over || self.has(Bug::FireAndForget)) {
                // No sequence, so nobody can look later whether it is there.
                *outcome = Ok(Receipt { sequence: 0, duplicate: false });
            }
            if outcome.is_err() && self.has(Bug::SweptAtStartOnly) {
                *outcome = Err(PublishError::Refused("set aside until the next start".to_owned()));
            }
            if let (true, Ok(receipt)) = (self.has(Bug::NeverVerified), outcome) {
                self.chaos.wrong().published.insert(receipt.sequence, id);
            }
        }
        outcomes
    }
}

impl Bus for SimulatedBus {
    type Subscription = SimulatedSubscription;

    async fn provision(&self, topology: &Topology) -> Result<(), Error> {
        self.memory.try_provision(topology)
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<Result<Receipt, PublishError>> {
        if self.has(Bug::EndedBeforeKept) && messages.iter().any(|message| message.subject.starts_with(DEAD)) {
            let outcomes = messages.iter().map(|_| Ok(Receipt { sequence: 0, duplicate: false })).collect();
            *self.late.lock().unwrap_or_else(PoisonError::into_inner) = messages;
            return outcomes;
        }
        let late = std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner));
        drop(self.memory.try_publish(late));
        if !self.chaos.is_traced() {
            return self.publish_now(messages);
        }
        let about: Vec<_> =
            messages.iter().map(|message| (saga(&message.headers), name(&message.subject, &message.headers))).collect();
        let outcomes = self.publish_now(messages);
        for ((saga, what), outcome) in about.into_iter().zip(&outcomes) {
            self.chaos.note(saga, || match outcome {
                Ok(receipt) if receipt.duplicate => format!("publishes {what}, a duplicate of {}", receipt.sequence),
                Ok(receipt) => format!("publishes {what} as {}", receipt.sequence),
                Err(error) => format!("publishes {what}: {error}"),
            });
        }
        outcomes
    }

    async fn subscribe(&self, consumer: &ConsumerConfig) -> Result<SimulatedSubscription, Error> {
        let mut inner = self.memory.try_subscribe(consumer)?;
        if self.has(Bug::NewEventsOnly) {
            for old in inner.try_receive(usize::MAX)? {
                old.ack().await?;
            }
        }
        Ok(SimulatedSubscription { inner, wire: self.clone(), durable: consumer.durable.clone(), newest: (0, 0) })
    }

    async fn stream_state(&self) -> Result<StreamState, Error> {
        self.memory.stream_state().await
    }

    async fn message_id_at(&self, sequence: u64) -> Result<Option<String>, Error> {
        if self.has(Bug::NeverVerified) {
            return Ok(self.chaos.wrong().published.get(&sequence).cloned());
        }
        self.memory.message_id_at(sequence).await
    }

    async fn dead_letter_at(&self, sequence: u64) -> Result<Option<Message>, Error> {
        self.memory.dead_letter_at(sequence).await
    }

    async fn consumer_position(&self, durable: &str) -> Result<Option<ConsumerPosition>, Error> {
        self.memory.consumer_position(durable).await
    }

    fn message_max(&self) -> usize {
        self.memory.message_max()
    }

    fn health(&self) -> Health {
        self.memory.health()
    }

    async fn close(&self) {}
}

impl Subscription for SimulatedSubscription {
    /// Never waits for anything but the scheduler: what isn't there now comes at another turn.
    async fn receive(&mut self, credits: usize) -> Result<Vec<Delivery>, Error> {
        let mut deliveries = Vec::new();
        for delivery in self.inner.try_receive(credits)? {
            self.count(&delivery);
            deliveries.extend(self.watched(delivery).await);
        }
        if deliveries.is_empty() { std::future::pending().await } else { Ok(deliveries) }
    }

    async fn close(self) -> Result<(), Error> {
        self.inner.close().await
    }
}

impl SimulatedSubscription {
    /// Counts what is wrong with a delivery.
    fn count(&mut self, delivery: &Delivery) {
        let chaos = &self.wire.chaos;
        if delivery.delivered > 1 {
            return chaos.saw(Fault::Redelivery);
        }
        // A broker that lost its newest messages gives their sequences to others.
        let connection = self.wire.memory.health().reconnects;
        let newest = if self.newest.1 == connection { self.newest.0 } else { 0 };
        if delivery.sequence < newest {
            chaos.saw(Fault::Overtaking);
        }
        self.newest = (newest.max(delivery.sequence), connection);
    }

    async fn watched(&self, mut inner: Delivery) -> Option<Delivery> {
        let wire = &self.wire;
        if wire.has(Bug::RedriveBelieved) && inner.message.headers.get(header::ID).is_some() {
            let said = Address::of_redrive(&inner.message.subject).map(|address| address.subject.to_owned());
            inner.message.subject = said.unwrap_or(inner.message.subject);
        }
        if !wire.chaos.is_traced() && wire.chaos.bug.is_none() {
            return Some(inner);
        }
        let (message, delivered, sequence) = (inner.message.clone(), inner.delivered, inner.sequence);
        let (saga, what) = (saga(&message.headers), name(&message.subject, &message.headers));
        let key = (self.durable.clone(), id(&message.headers).to_owned());
        wire.chaos.note(saga, || format!("gets {what} from {sequence}, delivery {delivered}"));
        if wire.has(Bug::DedupeBeforeEffect) && !wire.chaos.wrong().arrived.insert(key.clone()) {
            drop(inner.ack().await);
            return None;
        }
        let mut inner = Some(inner);
        if wire.has(Bug::AckBeforeCommit) {
            drop(inner.take()?.ack().await);
        }
        let watched = Watched { inner, wire: wire.clone(), key, saga, what };
        Some(Delivery::new(message, delivered, sequence, watched))
    }
}

type Settled<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

impl Settle for Watched {
    fn ack(mut self: Box<Self>) -> Settled<'static> {
        let again = !self.wire.chaos.wrong().acked.insert(self.key.clone());
        if again && self.wire.has(Bug::DuplicateNotAcked) {
            return Box::pin(std::future::ready(Ok(())));
        }
        self.wire.chaos.note(self.saga, || format!("acks {}", self.what));
        match self.inner.take() {
            Some(inner) => Box::pin(inner.ack()),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }

    fn retry_after(mut self: Box<Self>, delay: Duration) -> Settled<'static> {
        self.wire.chaos.note(self.saga, || format!("wants {} again after {delay:?}", self.what));
        if self.wire.has(Bug::FailedCountsAsDone) {
            return self.ack();
        }
        let delay = if self.wire.has(Bug::RetriesAtOnce) { Duration::ZERO } else { delay };
        match self.inner.take() {
            Some(inner) => Box::pin(inner.retry_after(delay)),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }

    fn reject(mut self: Box<Self>, reason: String) -> Settled<'static> {
        self.wire.chaos.note(self.saga, || format!("gives up {}: {reason}", self.what));
        let inner = self.inner.take().filter(|_| !self.wire.has(Bug::NeverEnded));
        Box::pin(async move {
            if let Some(inner) = inner {
                inner.reject(reason).await?;
            }
            Ok(())
        })
    }

    fn in_progress(&self) -> Settled<'_> {
        match &self.inner {
            Some(inner) => Box::pin(inner.in_progress()),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }
}

fn saga(headers: &Headers) -> Option<SagaId> {
    headers.get(header::CORRELATION_ID)?.parse().ok()
}

fn id(headers: &Headers) -> &str {
    headers.get(header::ID).unwrap_or_default()
}

/// What a message is, for the trace: where it goes, if not to everybody, and which event it is.
fn name(subject: &str, headers: &Headers) -> String {
    let event = headers.get(header::TYPE).unwrap_or("an unreadable message");
    let id = id(headers).get(24..).unwrap_or_default();
    match subject.split('.').next() {
        Some("events") | None => format!("{event} {id}"),
        Some(kind) => format!("{kind} {event} {id}"),
    }
}
