//! What the rows consume and publish: events of some 500 bytes about many accounts, and the service that books them.

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream;
use pavane::{
    Config, Envelope, Event, Handled, SagaId,
    database::{Database, Service, Tx},
    internal::into_parts,
    on,
};
use pavane_bus::{Bus, JetStream, Outgoing, Topology, topology::EVENTS};
use pavane_contract::{Cause, EventId, EventRef, Meta, SystemClock, codec, subject};
use pavane_testkit::servers::Nats;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep},
};

use crate::stage::Stage;

/// How many accounts the events are about: so many that events rarely wait for each other.
pub(crate) const ACCOUNTS: usize = 10_000;
/// Makes a body of 500 bytes.
const NOTE_BYTES: usize = 447;
/// How long a run may take.
const PATIENCE: Duration = Duration::from_mins(10);
/// The reaction that is measured.
pub(crate) const REACTION: &str = "book";
/// Its service.
pub(crate) const SERVICE: &str = "ledger";

/// The event that is consumed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "teller.deposited", key = account)]
pub(crate) struct Deposited {
    pub(crate) account: String,
    pub(crate) amount: i64,
    pub(crate) note: String,
}

/// The event that is emitted for it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "ledger.booked", key = account)]
pub(crate) struct Booked {
    pub(crate) account: String,
    pub(crate) amount: i64,
    pub(crate) note: String,
}

/// The table that the service updates, on either database.
pub(crate) const ACCOUNT_TABLE: &str = "create table account (id text primary key, balance bigint not null)";
/// What the service does to it.
const DEPOSIT: &str = "update account set balance = balance + $1 where id = $2";

/// The name of an account.
pub(crate) fn account(number: usize) -> String {
    format!("account-{}", number % ACCOUNTS)
}

/// One event of the load.
pub(crate) fn deposited(number: usize) -> Deposited {
    Deposited { account: account(number), amount: 1, note: "x".repeat(NOTE_BYTES) }
}

/// The event that the service emits for it.
pub(crate) fn booked(deposited: &Deposited) -> Booked {
    Booked { account: deposited.account.clone(), amount: deposited.amount, note: deposited.note.clone() }
}

/// An event as it leaves a service.
///
/// # Errors
///
/// Never in practice: all our events can be written as JSON.
pub(crate) fn outgoing<E: Event>(event: &E, source: &str) -> Result<Outgoing> {
    let id = EventId::new(&SystemClock);
    let time = pavane_contract::Clock::now(&SystemClock);
    let cause = Cause::new(SagaId::new(&SystemClock), time);
    let meta = Meta { id, event: EventRef::of::<E>(), key: event.key(), source: source.to_owned(), time, cause };
    let raw = Envelope { meta: meta.into(), body: event }.into_raw()?;
    let headers = codec::encode(&raw);
    let subject = subject::of(&raw.meta.event, &raw.meta.key);
    Ok(Outgoing { subject, headers, payload: raw.body, message_id: id.to_string() })
}

/// Does nothing.
pub(crate) async fn ignore<DB: Database>((): &(), _: &mut Tx<DB>, _: &Envelope<Deposited>) -> Handled {
    Ok(())
}

macro_rules! ledger {
    ($name:ident, $db:ty) => {
        /// The service that books deposits: one update and one event for each.
        pub(crate) fn $name() -> Service<(), $db> {
            async fn book((): &(), tx: &mut Tx<$db>, event: &Envelope<Deposited>) -> Handled {
                let update = sqlx::query(DEPOSIT).bind(event.amount).bind(&event.account);
                update.execute(tx.conn()).await?;
                tx.emit(&booked(event)).await?;
                Ok(())
            }
            Service::new(SERVICE, ()).react(REACTION, on(book).emits::<Booked>())
        }
    };
}

ledger!(ledger_on_any, sqlx::Any);
ledger!(ledger_on_postgres, sqlx::Postgres);
ledger!(ledger_on_sqlite, sqlx::Sqlite);

/// A NATS server of a row's own, with the streams.
#[derive(Debug)]
pub(crate) struct Broker {
    // Keeps the server running.
    nats: Nats,
    pub(crate) context: jetstream::Context,
}

impl Broker {
    /// Starts a server and makes the streams.
    ///
    /// # Errors
    ///
    /// When the server can't be started or used.
    pub(crate) async fn start(stage: &Stage) -> Result<Self> {
        let nats = stage.nats().await?;
        let context = jetstream::new(async_nats::connect(nats.url()).await?);
        let broker = Self { nats, context };
        broker.provision().await?;
        Ok(broker)
    }

    pub(crate) fn url(&self) -> String {
        self.nats.url()
    }

    /// A connection as a service has it.
    ///
    /// # Errors
    ///
    /// When the server doesn't answer.
    pub(crate) async fn bus(&self, service: &str) -> Result<JetStream> {
        Ok(JetStream::connect(pavane_bus::jetstream::Config::new(self.url(), service)).await?)
    }

    async fn provision(&self) -> Result<()> {
        Ok(self.bus("bench").await?.provision(&Topology::default()).await?)
    }

    /// Empties the stream of events by creating it again, so that nothing is left of the run before.
    ///
    /// # Errors
    ///
    /// When the server doesn't answer.
    pub(crate) async fn anew(&self) -> Result<()> {
        self.context.delete_stream(EVENTS).await?;
        self.provision().await
    }

    /// Publishes a backlog of events.
    ///
    /// # Errors
    ///
    /// When one isn't stored.
    pub(crate) async fn fill(&self, events: usize) -> Result<()> {
        let bus = self.bus("teller").await?;
        let messages = (0..events).map(|number| outgoing(&deposited(number), "teller")).collect::<Result<Vec<_>>>()?;
        for outcome in bus.publish(messages).await {
            outcome?;
        }
        Ok(())
    }

    /// Forgets a durable consumer, so that the next one of its name reads all events again.
    ///
    /// # Errors
    ///
    /// When the server doesn't answer.
    pub(crate) async fn forget(&self, durable: &str) -> Result<()> {
        let stream = self.context.get_stream(EVENTS).await?;
        match stream.delete_consumer(durable).await {
            Ok(_) => Ok(()),
            Err(error) if stream.consumer_info(durable).await.is_err() => {
                tracing::debug!(%error, "there was no such consumer");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until a durable consumer has acked so many events, and has none left.
    ///
    /// # Errors
    ///
    /// When that takes too long.
    pub(crate) async fn acked(&self, durable: &str, events: usize) -> Result<()> {
        self.rate(durable, events).await.map(drop)
    }

    /// Waits until a durable consumer has acked so many events, and has none left. Returns how many in a second, not
    /// counting the first tenth, while processes may still be starting.
    ///
    /// # Errors
    ///
    /// When that takes too long.
    pub(crate) async fn rate(&self, durable: &str, events: usize) -> Result<f64> {
        let stream = self.context.get_stream(EVENTS).await?;
        let deadline = Instant::now() + PATIENCE;
        let mut first = (Instant::now(), 0);
        loop {
            // It isn't there until the first process has made it.
            if let Ok(info) = stream.consumer_info(durable).await {
                let delivered = usize::try_from(info.delivered.consumer_sequence)?;
                let (since, already) = first;
                if already < events / 10 && delivered < events {
                    first = (Instant::now(), delivered);
                }
                if delivered >= events && info.num_pending == 0 && info.num_ack_pending == 0 {
                    return Ok(per_second(delivered - already, since));
                }
            }
            ensure!(Instant::now() < deadline, "{durable} has not acked all events in {PATIENCE:?}");
            sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Lets a service consume the backlog, and returns how many events it handled in a second. Its relay doesn't run.
///
/// # Errors
///
/// When the service can't start, or doesn't handle everything.
pub(crate) async fn consume<DB: Database>(
    broker: &Broker,
    service: Service<(), DB>,
    database_url: &str,
    events: usize,
) -> Result<f64> {
    let durable = format!("{SERVICE}_{REACTION}");
    broker.forget(&durable).await?;
    let app =
        service.connect(Config::new(broker.url()).database(database_url)).await.context("the service can't start")?;
    let db = app.db().clone();
    let (consumers, relay) = into_parts(app);
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for mut consumer in consumers {
        tasks.spawn(async move {
            loop {
                consumer.turn().await?;
            }
        });
    }
    let done: Result<()> = tokio::select! {
        acked = broker.acked(&durable, events) => acked,
        Some(ended) = tasks.join_next() => ended?,
    };
    done?;
    let rate = per_second(events, started);
    tasks.shutdown().await;
    drop(relay);
    db.close().await;
    Ok(rate)
}

/// How many in a second, since then.
pub(crate) fn per_second(count: usize, since: Instant) -> f64 {
    float(count) / since.elapsed().as_secs_f64()
}

/// A count to reckon with.
#[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^52")]
pub(crate) const fn float(count: usize) -> f64 {
    count as f64
}
