//! NATS `JetStream` behind the [`Bus`] trait.
//!
//! It handles the connection, its permissions and its failures. It does not retry what is published or handled.
//!
//! # Permissions
//!
//! A service that publishes under `events.payment.>` and reads with the durable consumer `X` needs, to publish:
//! `events.payment.>`, `dead.payment.>`, `$JS.API.STREAM.INFO.EVENTS`, `$JS.API.STREAM.MSG.GET.EVENTS`,
//! `$JS.API.STREAM.MSG.GET.DEAD_LETTERS` (a redrive names a letter there), `$JS.API.CONSUMER.INFO.EVENTS.X`,
//! `$JS.API.CONSUMER.MSG.NEXT.EVENTS.X`, `$JS.ACK.EVENTS.X.>` and `$JS.ACK.*.*.EVENTS.X.>`; to subscribe: `_INBOX_payment.>`.
//! Several instances of it wake one another over `wake.payment`, to publish and to subscribe; without it, what a standby
//! commits waits until the leader polls. To create its consumer itself, also `$JS.API.CONSUMER.CREATE.EVENTS.X.>` (one filter)
//! or `$JS.API.CONSUMER.CREATE.EVENTS.X` (several); to provision, also `$JS.API.STREAM.INFO.*`, `$JS.API.STREAM.CREATE.*` and
//! `$JS.API.STREAM.UPDATE.*`. A server reports a violation apart from the request, which gets no answer; here the request fails
//! at once and names the subject.
//!
//! In a namespace, `shop` for example, each of these subjects begins with it, the inbox too (`shop.events.payment.>`,
//! `shop._INBOX_payment.>`), and each stream's name (`$JS.API.STREAM.INFO.shop_EVENTS`, `$JS.ACK.shop_EVENTS.X.>`). With a domain, `hub` for
//! example, requests go to `$JS.hub.API` instead of `$JS.API`. With [`verify_only`](Config::verify_only) nothing needs `CREATE` or
//! `UPDATE`.

mod address;
mod api;
mod bucket;
mod command;
mod config;
mod consumer;
mod environment;
mod inspect;
mod link;
mod login;
mod names;
mod own_streams;
mod provision;
mod publish;
mod pulls;
mod reader;
mod settle;
mod subscription;
mod tls;

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use async_nats::{
    Client,
    connection::State,
    jetstream::{Context, context::ContextBuilder},
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::{sync::Semaphore, time::timeout};

pub use bucket::{Bucket, Entry};
pub use config::Config;
pub use inspect::{ConsumerReport, Position, ServerReport, StreamReport};
pub use login::Login;
pub use reader::{Reader, Start, Stored};
pub use subscription::Subscription;

use pavane_contract::codec::header;

use crate::message::MESSAGE_ID;
use crate::{
    Bus, ConsumerConfig, ConsumerPosition, Error, Health, Message, Outgoing, PublishError, Receipt, StreamState,
    Topology, Wakes, topology::wake_subject,
};
use link::Link;
use names::Names;

/// The oldest supported server. Older ones ignore settings that they don't know, and don't report it.
const OLDEST_SERVER: (i64, i64, i64) = (2, 10, 8);

/// How long [`close`](Bus::close) waits for the client to send what it holds.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// A connection to NATS `JetStream`. Clones share it.
///
/// # Examples
///
/// ```no_run
/// use pavane_bus::{Bus, JetStream, Topology, jetstream::Config};
///
/// # async fn example() -> Result<(), pavane_bus::Error> {
/// let bus = JetStream::connect(Config::new("nats://127.0.0.1:4222", "payment")).await?;
/// bus.provision(&Topology::default()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct JetStream {
    inner: Arc<Inner>,
}

/// The part that publishers, subscriptions and deliveries share.
struct Inner {
    client: Client,
    context: Context,
    link: Arc<Link>,
    names: Names,
    /// The prefix of JetStream's API, without the last dot.
    api_prefix: String,
    /// Whether to create and change nothing at the server.
    verify_only: bool,
    request_timeout: Duration,
    /// Limits the publishes without an answer, over all clones.
    in_flight: Semaphore,
    /// Whether the last publish timed out; see [`publish`](Inner::publish).
    suspect: AtomicBool,
}

impl JetStream {
    /// Connects, trying again until the configured deadline.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when no server answers in time, [`Error::Denied`] when it refuses the credentials,
    /// [`Error::Unsupported`] when it is older than 2.10.8, [`Error::Setting`] when a setting can't be used or the TLS handshake
    /// fails.
    pub async fn connect(config: Config) -> Result<Self, Error> {
        let (names, api_prefix) = (Names::new(config.namespace.as_deref())?, config.api()?);
        let link = Arc::new(Link::new(config.shown(), config.inbox_prefix(&names)));
        let client = config.connect(&link).await?;
        let (major, minor, patch) = OLDEST_SERVER;
        if !client.is_server_compatible(major, minor, patch) {
            let found = client.server_info().version;
            return Err(Error::Unsupported(format!(
                "NATS server {major}.{minor}.{patch} or newer is needed, {} runs {found}",
                link.url()
            )));
        }
        let context = ContextBuilder::new()
            .timeout(config.request_timeout)
            // Our own semaphore is the limit. With this one, two publishers that each hold half of it would deadlock.
            .max_ack_inflight(Semaphore::MAX_PERMITS.min(1 << 16))
            .ack_timeout(config.request_timeout)
            .api_prefix(&api_prefix)
            .build(client.clone());
        let inner = Inner {
            client,
            context,
            link,
            names,
            api_prefix,
            verify_only: config.verify_only,
            request_timeout: config.request_timeout,
            in_flight: Semaphore::new(config.max_in_flight),
            suspect: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A stream's name at the server, with the namespace: for messages to operators. Everything else here takes and returns the
    /// names of [`topology`](crate::topology).
    pub fn name_of(&self, stream: &str) -> String {
        self.inner.names.stream(stream).into_owned()
    }

    /// A subject or a filter at the server, with the namespace: as [`name_of`](Self::name_of) for streams.
    pub fn subject_of(&self, subject: &str) -> String {
        self.inner.names.subject(subject).into_owned()
    }
}

impl Bus for JetStream {
    type Subscription = Subscription;

    async fn provision(&self, topology: &Topology) -> Result<(), Error> {
        self.inner.provision(topology).await
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<Result<Receipt, PublishError>> {
        self.inner.publish(messages).await
    }

    async fn subscribe(&self, consumer: &ConsumerConfig) -> Result<Subscription, Error> {
        let consumer = self.inner.open_consumer(consumer).await?;
        Subscription::open(Arc::clone(&self.inner), consumer).await
    }

    async fn stream_state(&self) -> Result<StreamState, Error> {
        self.inner.stream_state().await
    }

    async fn message_id_at(&self, sequence: u64) -> Result<Option<String>, Error> {
        self.inner.message_id_at(sequence).await
    }

    async fn dead_letter_at(&self, sequence: u64) -> Result<Option<Message>, Error> {
        self.inner.dead_letter_at(sequence).await
    }

    async fn consumer_position(&self, durable: &str) -> Result<Option<ConsumerPosition>, Error> {
        self.inner.consumer_position(durable).await
    }

    async fn declare(&self, topology: &Topology, service: &str, declaration: Bytes) -> Result<(), Error> {
        self.inner.declare(topology, service, declaration).await
    }

    fn message_max(&self) -> usize {
        self.inner.client.server_info().max_payload
    }

    async fn wake(&self, service: &str) -> Result<(), Error> {
        let subject = self.inner.wake_subject(service);
        let sent = self.inner.client.publish(subject.clone(), Bytes::new()).await;
        sent.map_err(|error| Error::Unavailable(format!("{subject} was not sent: {error}")))
    }

    async fn listen(&self, service: &str) -> Result<Wakes, Error> {
        let subject = self.inner.wake_subject(service);
        let wakes = self.inner.client.subscribe(subject.clone()).await;
        let wakes = wakes.map_err(|error| Error::Unavailable(format!("{subject} can't be listened to: {error}")))?;
        Ok(Wakes::new(wakes.map(drop)))
    }

    fn health(&self) -> Health {
        Health { connected: self.inner.connected(), reconnects: self.inner.link.reconnects() }
    }

    async fn close(&self) {
        let goodbye = async {
            // A failed flush or drain means that the client is closed already.
            if self.inner.client.flush().await.is_ok() && self.inner.client.drain().await.is_ok() {
                self.inner.link.closed().await;
            }
        };
        if timeout(CLOSE_WITHIN, goodbye).await.is_err() {
            tracing::warn!(url = self.inner.link.url(), "the connection did not close in time");
        }
    }
}

impl Inner {
    fn connected(&self) -> bool {
        // After an orderly close the client's state keeps its last value.
        self.client.connection_state() == State::Connected && !self.link.is_closed()
    }

    fn wake_subject(&self, service: &str) -> String {
        self.names.subject(&wake_subject(service)).into_owned()
    }

    fn not_connected(&self) -> String {
        format!("no connection to {}", self.link.url())
    }
}

impl fmt::Debug for JetStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStream").field("url", &self.inner.link.url()).finish_non_exhaustive()
    }
}

/// The name of a header, as a constant for the frequent ones: comparing is far faster than copying.
fn header_name(name: &str) -> Cow<'static, str> {
    if name == MESSAGE_ID { Cow::Borrowed(MESSAGE_ID) } else { header::name(name) }
}
