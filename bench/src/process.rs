//! What the other programs of this package do.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context as _, Result, bail};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures_util::StreamExt as _;
use pavane::{
    Config, Envelope, Handled,
    database::{Service, Tx},
    internal::into_parts,
    on,
};
use pavane_bus::topology::EVENTS;
use sqlx::Sqlite;
use tokio::{sync::Notify, task::JoinSet};

use crate::load::{self, Deposited};

/// Consumes deposits for ever, as one instance of the service. Its relay doesn't run.
///
/// # Errors
///
/// When the service can't start, or the broker is gone.
pub async fn instance(nats_url: &str, database_url: &str) -> Result<()> {
    let app = load::ledger_on_postgres().connect(Config::new(nats_url).database(database_url)).await?;
    let (consumers, _relay) = into_parts(app);
    let mut tasks = JoinSet::new();
    for mut consumer in consumers {
        tasks.spawn(async move {
            loop {
                consumer.turn().await?;
            }
        });
    }
    tasks.join_next().await.context("the service has no reaction")??
}

/// Counts events and tells when two moments have come.
struct Count<F> {
    seen: AtomicUsize,
    warm: usize,
    all: usize,
    mark: F,
    done: Notify,
}

impl<F: Fn()> Count<F> {
    fn event(&self) {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        if seen == self.warm || seen == self.all {
            (self.mark)();
        }
        if seen == self.all {
            self.done.notify_one();
        }
    }
}

async fn count<F: Fn() + Send + Sync + 'static>(
    count: &Arc<Count<F>>,
    _: &mut Tx<Sqlite>,
    event: &Envelope<Deposited>,
) -> Handled {
    std::hint::black_box(&event.body);
    count.event();
    Ok(())
}

/// Consumes `all` events with a service whose inbox is in memory (`pavane`) or with the bare client (`raw`), and calls
/// `mark` after the first `warm` of them and at the end.
///
/// # Errors
///
/// When a server can't be used.
pub async fn consume<F: Fn() + Send + Sync + 'static>(
    how: &str,
    nats_url: &str,
    (warm, all): (usize, usize),
    mark: F,
) -> Result<()> {
    let counter = Arc::new(Count { seen: AtomicUsize::new(0), warm, all, mark, done: Notify::new() });
    match how {
        "pavane" => {
            let service = Service::<_, Sqlite>::new("counting", Arc::clone(&counter)).react("count", on(count::<F>));
            let app = service.connect(Config::new(nats_url).database("sqlite::memory:")).await?;
            let (mut consumers, _relay) = into_parts(app);
            let consumer = consumers.first_mut().context("the service has no reaction")?;
            loop {
                tokio::select! {
                    biased;
                    () = counter.done.notified() => return Ok(()),
                    stepped = consumer.turn() => stepped?,
                }
            }
        }
        "raw" => {
            let context = async_nats::jetstream::new(async_nats::connect(nats_url).await?);
            let config = pull::Config {
                durable_name: Some("counting_raw".to_owned()),
                ack_policy: AckPolicy::Explicit,
                max_ack_pending: 20_000,
                ..pull::Config::default()
            };
            let consumer = context.get_stream(EVENTS).await?.create_consumer(config).await?;
            let mut messages = consumer.stream().max_messages_per_batch(500).messages().await?;
            for _ in 0..all {
                let message = messages.next().await.context("the messages ended")??;
                let event: Deposited = serde_json::from_slice(&message.payload)?;
                std::hint::black_box(event);
                message.ack().await.map_err(anyhow::Error::from_boxed)?;
                counter.event();
            }
            Ok(())
        }
        other => bail!("neither `pavane` nor `raw`: {other:?}"),
    }
}

/// The arguments of the two programs that count: how, where, and how many events.
///
/// # Errors
///
/// When one is missing or isn't a number.
pub fn counting_arguments() -> Result<(String, String, (usize, usize))> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what| arguments.next().with_context(|| format!("the {what} is missing"));
    Ok((
        next("kind")?,
        next("NATS server")?,
        (next("number of warming events")?.parse()?, next("number of events")?.parse()?),
    ))
}
