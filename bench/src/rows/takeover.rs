//! `takeover`: the database of one instance vanishes without a sign while it has events in hand: how long until another
//! instance has handled them.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use pavane::{Config, internal::into_parts};
use pavane_bus::JetStream;
use pavane_inbox::Consumer;
use pavane_testkit::servers::{Direction, Proxy};
use sqlx::Postgres;
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep},
};

use super::durable;
use crate::{
    harness::Sample,
    load::{self, Broker},
    report::{Reach, Row},
    stage::Stage,
};

/// How long an instance waits for its database.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) async fn run(stage: &Stage) -> Result<Vec<Row>> {
    let events = stage.size(20_000, 2_000);
    let broker = Broker::start(stage).await?;
    broker.fill(events).await?;
    let mut taken = Vec::new();
    for _ in 0..stage.runs {
        taken.push(Box::pin(take_over(stage, &broker, events)).await?);
    }
    let allowed = Sample::new(taken.iter().map(|_| DATABASE_TIMEOUT.as_secs_f64()).collect());
    let work = format!(
        "{events} events, a black hole before one instance's database midway, until all are handled; its database_timeout"
    );
    Ok(vec![Row::new("takeover", &work, "s", (Sample::new(taken), allowed), Reach::AtMost(2.0))])
}

async fn take_over(stage: &Stage, broker: &Broker, events: usize) -> Result<f64> {
    let durable = format!("{}_{}", load::SERVICE, load::REACTION);
    broker.forget(&durable).await?;
    let (server, url) = (stage.postgres().await?, durable::database(stage).await?);
    let proxy = Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()))).await?;
    let through = url.replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.address().port()));
    let (stuck, other) = (instance(broker, &through).await?, instance(broker, &url).await?);
    let mut tasks = JoinSet::new();
    tasks.spawn(consume(stuck));
    let stream = broker.context.get_stream(pavane_bus::topology::EVENTS).await?;
    while stream.consumer_info(&durable).await?.ack_floor.consumer_sequence < 100 {
        sleep(Duration::from_millis(1)).await;
    }
    for direction in [Direction::ToServer, Direction::ToClient] {
        proxy.black_hole(direction);
    }
    let vanished = Instant::now();
    tasks.spawn(consume(other));
    tokio::select! {
        acked = broker.acked(&durable, events) => acked?,
        Some(ended) = tasks.join_next() => ended??,
    }
    let taken = vanished.elapsed().as_secs_f64();
    tasks.shutdown().await;
    durable::check(&url, events).await?;
    Ok(taken)
}

type Ledger = Consumer<(), Postgres, JetStream>;

/// Connected, and doing nothing yet. Its relay doesn't run.
async fn instance(broker: &Broker, database_url: &str) -> Result<Ledger> {
    let mut config = Config::new(broker.url()).database(database_url);
    config.database_timeout = DATABASE_TIMEOUT;
    let (consumers, _relay) = into_parts(load::ledger_on_postgres().connect(config).await?);
    consumers.into_iter().next().context("the service has no reaction")
}

async fn consume(mut ledger: Ledger) -> Result<()> {
    loop {
        ledger.turn().await?;
    }
}
