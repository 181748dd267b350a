use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use async_nats::{
    Subject, Subscriber,
    jetstream::{
        self, ErrorCode,
        consumer::{
            Consumer,
            pull::{self, BatchConfig},
        },
    },
};
use futures_util::{FutureExt, StreamExt};
use pavane_contract::codec::Headers;
use tokio::{
    task::unconstrained,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    Inner,
    api::Failure,
    header_name,
    link::{Mark, Trouble},
    pulls::{Arrival, EXPIRES, HEARTBEAT, Pulls},
    settle::Settler,
};
use crate::{Delivery, Error, Message, topology::EVENTS};

/// How often to check whether the connection is back, in case its event was dropped.
const CONNECTION_POLL: Duration = Duration::from_millis(250);
/// Most messages requested at once; far below what the client buffers for a subscription.
const CREDITS_MAX: usize = 4096;
/// When closing: after this silence nothing more is expected to arrive.
const CLOSE_QUIET: Duration = Duration::from_millis(20);
/// When closing: longest wait for what was requested.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);
/// An open durable consumer on `JetStream`.
///
/// It requests as many messages as it has credits for: see [`receive`](crate::Subscription::receive). There is no background
/// task; while nobody calls `receive`, nothing is requested, and only what was requested before still arrives. If it is dropped
/// without [`close`](crate::Subscription::close), what arrived is delivered again after the ack wait.
pub struct Subscription {
    inner: Arc<Inner>,
    consumer: Consumer<pull::Config>,
    /// Where pulls are sent.
    pull_subject: String,
    /// Where pulls are answered. A new one after each loss, so that a pull of before can't exceed the credits.
    inbox: Subject,
    arriving: Subscriber,
    since: Mark,
    pulls: Pulls,
    /// Messages that arrived and were not returned yet.
    kept: VecDeque<async_nats::Message>,
}

impl Subscription {
    pub(super) async fn open(inner: Arc<Inner>, consumer: Consumer<pull::Config>) -> Result<Self, Error> {
        let since = inner.link.mark();
        let inbox = Subject::from(inner.client.new_inbox());
        let arriving = inner.client.subscribe(inbox.clone()).await.map_err(client_closed)?;
        let pull_subject = inner.api_subject(&format!(
            "CONSUMER.MSG.NEXT.{}.{}",
            inner.names.stream(EVENTS),
            consumer.cached_info().name
        ));
        let pulls = Pulls::new(Instant::now());
        Ok(Self { inner, consumer, pull_subject, inbox, arriving, since, pulls, kept: VecDeque::new() })
    }
}

impl crate::Subscription for Subscription {
    /// See the trait. With zero credits it returns an empty answer at once.
    ///
    /// `credits` is how many messages the caller has room for. Messages that were requested before may still be on their way, so
    /// only the difference is requested. If a caller passes fewer credits than before, without having received anything, more
    /// may arrive than it has room for: they are kept, and returned within the credits of later calls.
    async fn receive(&mut self, credits: usize) -> Result<Vec<Delivery>, Error> {
        let credits = credits.min(CREDITS_MAX);
        if credits == 0 {
            return Ok(Vec::new());
        }
        loop {
            self.absorb_ready()?;
            if self.kept.is_empty() {
                self.recover().await?;
            }
            self.pull(credits.saturating_sub(self.kept.len())).await?;
            let deliveries = self.hand_out(credits);
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
            self.wait().await?;
        }
    }

    /// A message that the server sends at the moment of closing is delivered again after its ack wait.
    async fn close(mut self) -> Result<(), Error> {
        let deadline = Instant::now() + CLOSE_WITHIN;
        while self.pulls.waiting() && self.inner.connected() {
            let quiet = deadline.min(Instant::now() + CLOSE_QUIET);
            match timeout_at(quiet, self.arriving.next()).await {
                Ok(Some(message)) => self.absorb(message)?,
                Ok(None) | Err(_) => break,
            }
        }
        self.arriving.unsubscribe().await.map_err(client_closed)?;
        self.absorb_ready()?;
        for message in std::mem::take(&mut self.kept) {
            if let Some(reply) = message.reply {
                Settler::new(Arc::clone(&self.inner), reply).retry_after(Duration::ZERO).await?;
            }
        }
        // The server answers this after it has read everything that was sent before.
        self.inner.consumer_info(self.durable()).await.map_err(|failure| self.explain(failure))?;
        Ok(())
    }
}

impl Subscription {
    fn durable(&self) -> &str {
        &self.consumer.cached_info().name
    }

    /// Takes what the client has read already, without waiting.
    fn absorb_ready(&mut self) -> Result<(), Error> {
        // Unconstrained, because tokio's cooperative budget would hide the rest after some messages.
        while let Some(Some(message)) = unconstrained(self.arriving.next()).now_or_never() {
            self.absorb(message)?;
        }
        Ok(())
    }

    fn absorb(&mut self, message: async_nats::Message) -> Result<(), Error> {
        match self.pulls.arrived(&message, Instant::now()) {
            Arrival::Delivery => self.kept.push_back(message),
            Arrival::Status => {}
            Arrival::Gone => return Err(Error::Gone(self.durable().to_owned())),
            Arrival::Unusable(why) => {
                return Err(Error::Other(format!("the consumer {} can't be pulled from: {why}", self.durable())));
            }
        }
        Ok(())
    }

    /// Makes sure that there is a connection, an inbox and a consumer. Cancel-safe: the next call continues.
    async fn recover(&mut self) -> Result<(), Error> {
        match self.inner.link.trouble(self.since, &[&self.pull_subject, &self.inbox]) {
            Some(Trouble::Denied(text)) => return Err(Error::Denied(text)),
            Some(Trouble::Lost) => self.pulls.stale = true,
            None => {}
        }
        while !self.inner.connected() {
            if self.inner.link.is_closed() {
                return Err(client_closed("nothing can be received after that"));
            }
            tokio::time::sleep(CONNECTION_POLL).await;
        }
        if self.pulls.silent(Instant::now()) {
            tracing::warn!(consumer = self.durable(), "the server went silent; pulling again");
            self.pulls.stale = true;
            self.pulls.suspect = true;
        }
        if self.pulls.suspect {
            self.check_consumer().await?;
            self.pulls.suspect = false;
        }
        if self.pulls.stale {
            self.renew().await?;
        }
        Ok(())
    }

    async fn check_consumer(&self) -> Result<(), Error> {
        let Err(failure) = self.inner.consumer_info(self.durable()).await else { return Ok(()) };
        let error = self.explain(failure);
        if matches!(error, Error::Gone(_) | Error::Denied(_)) {
            return Err(error);
        }
        // No leader, or a restart: wait for it.
        tracing::debug!(%error, consumer = self.durable(), "the consumer can't be asked");
        Ok(())
    }

    fn explain(&self, failure: Failure) -> Error {
        match failure.code() {
            Some(ErrorCode::CONSUMER_NOT_FOUND | ErrorCode::STREAM_NOT_FOUND) => Error::Gone(self.durable().to_owned()),
            _ => failure.into(),
        }
    }

    /// Unsubscribes from the old inbox, and so drops every pull.
    async fn renew(&mut self) -> Result<(), Error> {
        let since = self.inner.link.mark();
        let inbox = Subject::from(self.inner.client.new_inbox());
        let arriving = self.inner.client.subscribe(inbox.clone()).await.map_err(client_closed)?;
        // No await from here on. What the old inbox still holds was delivered to this client; it is kept.
        self.absorb_ready()?;
        self.arriving = arriving;
        self.inbox = inbox;
        self.since = since;
        self.pulls.renewed(Instant::now());
        Ok(())
    }

    /// Requests as many messages as are missing to have `room` outstanding.
    async fn pull(&mut self, room: usize) -> Result<(), Error> {
        let batch = self.pulls.missing(room, Instant::now());
        if batch == 0 || !self.inner.connected() {
            return Ok(());
        }
        let config = BatchConfig { batch, expires: Some(EXPIRES), idle_heartbeat: HEARTBEAT, ..BatchConfig::default() };
        let sent = self.consumer.request_batch(config, self.inbox.clone()).await;
        sent.map_err(|error| Error::Unavailable(format!("the consumer can't be pulled from: {error}")))?;
        self.pulls.sent(batch, Instant::now());
        Ok(())
    }

    /// Waits until something may have changed.
    async fn wait(&mut self) -> Result<(), Error> {
        let concerned = [self.pull_subject.as_str(), &self.inbox];
        tokio::select! {
            biased;
            message = self.arriving.next() => match message {
                Some(message) => self.absorb(message),
                None => Err(client_closed("nothing can be received after that")),
            },
            _ = self.inner.link.troubled(self.since, &concerned) => Ok(()),
            () = sleep_until(self.pulls.wake()) => Ok(()),
        }
    }

    fn hand_out(&mut self, credits: usize) -> Vec<Delivery> {
        let count = credits.min(self.kept.len());
        let mut deliveries = Vec::with_capacity(count);
        // One for all messages: to clone it takes as long as to read a message.
        let mut context = self.inner.context.clone();
        for message in self.kept.drain(..count) {
            let message = jetstream::Message { message, context };
            match message.info().map(|info| (u64::try_from(info.delivered).unwrap_or(1), info.stream_sequence)) {
                Ok(info) => deliveries.extend(delivery(&self.inner, message.message, info)),
                Err(error) => {
                    tracing::warn!(%error, subject = %message.subject, "ignoring a message that no stream delivered");
                }
            }
            context = message.context;
        }
        deliveries
    }
}

/// `None` for a message without a reply subject; nothing can be acked then.
fn delivery(inner: &Arc<Inner>, message: async_nats::Message, (delivered, sequence): (u64, u64)) -> Option<Delivery> {
    let async_nats::Message { subject, reply, payload, headers, .. } = message;
    let settler = Settler::new(Arc::clone(inner), reply?);
    let message =
        Message { subject: inner.names.local(subject.into_string()), headers: decode(headers.as_ref()), payload };
    Some(Delivery::new(message, delivered, sequence, settler))
}

/// Sorted by name, because the client has no order.
pub(super) fn decode(map: Option<&async_nats::HeaderMap>) -> Headers {
    let Some(map) = map else { return Headers::default() };
    let all = || map.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value.as_str())));
    let (count, bytes) = all().fold((0, 0), |(count, bytes), (_, value)| (count + 1, bytes + value.len()));
    let mut headers = Headers::with_capacity(count, bytes);
    for (name, value) in all() {
        headers.push_str(header_name(name.as_ref()), value);
    }
    headers.sort();
    headers
}

fn client_closed(error: impl fmt::Display) -> Error {
    Error::Unavailable(format!("the connection is closed: {error}"))
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("consumer", &self.durable())
            .field("pulls", &self.pulls)
            .finish_non_exhaustive()
    }
}
