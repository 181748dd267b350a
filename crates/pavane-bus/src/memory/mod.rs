//! A bus in memory that behaves as `JetStream` does, with faults on demand.
//!
//! For tests and simulations: the calls, an injected clock and one seed decide everything, so the same run gives the same trace.
//! Every operation has a form that never waits, for a scheduler: [`Memory::try_publish`], [`Memory::try_subscribe`],
//! [`Subscription::try_receive`] and [`Memory::next_due`]; settling a delivery never waits here.

mod consumer;
mod faults;
mod random;
mod state;
mod stream;
mod subscription;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pavane_contract::{Clock, Timestamp};
use tokio::sync::{Notify, watch};

pub use faults::Faults;
pub use stream::Stored;
pub use subscription::Subscription;

use crate::{
    Bus, ConsumerConfig, ConsumerPosition, Error, Health, Message, Outgoing, PublishError, Receipt, StreamState,
    Topology, Wakes,
};
use consumer::{Answer, DeliveryId, Taken};
use state::State;

/// A bus in memory. Clones share it: one value stands for the server and all connections to it.
#[derive(Debug, Clone)]
pub struct Memory {
    shared: Arc<Shared>,
}

/// How much work a consumer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Delivered and not settled.
    pub unsettled: usize,
    /// Not delivered yet.
    pub undelivered: usize,
}

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Notified when there may be something to receive.
    changed: Notify,
    /// By service: changes with each wake.
    wakes: Mutex<BTreeMap<String, watch::Sender<()>>>,
}

impl Memory {
    /// A bus without faults.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_faults(clock, 0, Faults::default())
    }

    /// A bus with faults that are drawn from a seed.
    pub fn with_faults(clock: Arc<dyn Clock>, seed: u64, faults: Faults) -> Self {
        let state = Mutex::new(State::new(seed, faults));
        Self { shared: Arc::new(Shared { clock, state, changed: Notify::new(), wakes: Mutex::default() }) }
    }

    /// Changes the faults from now on, for example to let a run come to rest.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.state().faults = faults;
    }

    /// [`Bus::provision`] that never waits.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_provision(&self, topology: &Topology) -> Result<(), Error> {
        self.shared.state().provision(topology, self.shared.clock.now())
    }

    /// [`Bus::publish`] that never waits.
    pub fn try_publish(&self, messages: Vec<Outgoing>) -> Vec<Result<Receipt, PublishError>> {
        let now = self.shared.clock.now();
        let mut state = self.shared.state();
        let receipts = messages.into_iter().map(|message| state.publish(message, now)).collect();
        drop(state);
        self.wake();
        receipts
    }

    /// [`Bus::subscribe`] that never waits.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_subscribe(&self, consumer: &ConsumerConfig) -> Result<Subscription, Error> {
        self.shared.state().open_consumer(consumer)?;
        Ok(Subscription::new(Arc::clone(&self.shared), consumer.durable.clone()))
    }

    /// When a consumer next has something to receive: now, later, or never unless something is published.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.shared.state().next_due(self.shared.clock.now())
    }

    /// Wakes waiting receivers. Call it after moving an injected clock.
    pub fn wake(&self) {
        self.shared.changed.notify_waiters();
    }

    /// Everything that a stream holds, in order.
    pub fn messages(&self, stream: &str) -> Vec<Stored> {
        self.shared.state().messages(stream)
    }

    /// How much work a consumer has; `None` when it doesn't exist.
    pub fn pending(&self, durable: &str) -> Option<Pending> {
        self.shared.state().pending(durable)
    }

    /// Drops what a stream stored after a sequence, as a server does that lost power before it synced to disk: the message ids
    /// and the consumers' positions go back too, and clients see a reconnect.
    pub fn roll_back(&self, stream: &str, last_sequence: u64) {
        self.shared.state().roll_back(stream, last_sequence);
        self.wake();
    }

    /// Cuts all connections until [`reconnect`](Self::reconnect): publishing and settling fail, receiving waits.
    pub fn disconnect(&self) {
        self.shared.state().disconnect();
    }

    /// Ends a [`disconnect`](Self::disconnect).
    pub fn reconnect(&self) {
        self.shared.state().reconnect();
        self.wake();
    }

    /// Forbids publishing under subjects that begin with `prefix`, as a server's permissions do, until [`permit`](Self::permit).
    /// Reading a dead letter counts as a publish under `$JS.API.STREAM.MSG.GET.DEAD_LETTERS`, as on a server.
    pub fn forbid(&self, prefix: impl Into<String>) {
        self.shared.state().forbidden = Some(prefix.into());
    }

    /// Ends a [`forbid`](Self::forbid).
    pub fn permit(&self) {
        self.shared.state().forbidden = None;
    }

    /// Sets whether a stream is full: it then refuses messages.
    pub fn set_full(&self, stream: &str, full: bool) {
        self.shared.state().set_full(stream, full);
    }

    /// Deletes a consumer, as an operator might; its subscriptions end with [`Error::Gone`].
    pub fn delete_consumer(&self, durable: &str) {
        self.shared.state().delete_consumer(durable);
        self.wake();
    }
}

impl Bus for Memory {
    type Subscription = Subscription;

    async fn provision(&self, topology: &Topology) -> Result<(), Error> {
        self.try_provision(topology)
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<Result<Receipt, PublishError>> {
        self.try_publish(messages)
    }

    async fn subscribe(&self, consumer: &ConsumerConfig) -> Result<Subscription, Error> {
        self.try_subscribe(consumer)
    }

    async fn stream_state(&self) -> Result<StreamState, Error> {
        self.shared.state().stream_state(self.shared.clock.now())
    }

    async fn message_id_at(&self, sequence: u64) -> Result<Option<String>, Error> {
        self.shared.state().message_id_at(sequence)
    }

    async fn dead_letter_at(&self, sequence: u64) -> Result<Option<Message>, Error> {
        self.shared.state().dead_letter_at(sequence, self.shared.clock.now())
    }

    async fn consumer_position(&self, durable: &str) -> Result<Option<ConsumerPosition>, Error> {
        self.shared.state().consumer_position(durable, self.shared.clock.now())
    }

    fn message_max(&self) -> usize {
        state::MESSAGE_MAX
    }

    async fn wake(&self, service: &str) -> Result<(), Error> {
        self.shared.wakes(service, |wakes| wakes.send_replace(()));
        Ok(())
    }

    async fn listen(&self, service: &str) -> Result<Wakes, Error> {
        let wakes = self.shared.wakes(service, watch::Sender::subscribe);
        Ok(Wakes::new(futures_util::stream::unfold(wakes, async |mut wakes| {
            wakes.changed().await.ok()?;
            Some(((), wakes))
        })))
    }

    fn health(&self) -> Health {
        self.shared.state().health()
    }

    /// Does nothing: the value is the server too, and others may still use it.
    async fn close(&self) {}
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in a test must not hide behind a poisoned lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the wakes of a service.
    fn wakes<T>(&self, service: &str, act: impl FnOnce(&watch::Sender<()>) -> T) -> T {
        let mut wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner);
        act(wakes.entry(service.to_owned()).or_default())
    }

    fn take(&self, durable: &str, credits: usize) -> Result<Vec<Taken>, Error> {
        self.state().take(durable, credits, self.clock.now())
    }

    /// How long until there is something to take; `None` when only a publish can bring it.
    fn wait_for(&self, durable: &str) -> Option<Duration> {
        let now = self.clock.now();
        let due = self.state().consumer_due(durable, now)?;
        // At least a moment, in case the clock stands still.
        Some(Duration::try_from(due.duration_since(now)).unwrap_or_default().max(Duration::from_millis(1)))
    }

    fn settle(&self, durable: &str, id: DeliveryId, answer: Answer) -> Result<(), Error> {
        self.state().settle(durable, id, answer, self.clock.now())?;
        self.changed.notify_waiters();
        Ok(())
    }
}

/// `time` plus `wait`; the end of time where that is too late.
fn after(time: Timestamp, wait: Duration) -> Timestamp {
    time.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
