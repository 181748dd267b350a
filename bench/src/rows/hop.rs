//! `hop`: from the commit of one service to the start of the next service's handler, when nothing else is going on.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use futures_util::StreamExt as _;
use pavane::{
    Config, Correlation, Declared, Envelope, Handled,
    database::{Entry, Service, Tx},
    on,
};
use pavane_bus::topology::EVENTS;
use sqlx::{Connection as _, PgConnection, Postgres};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Duration, Instant, sleep, timeout},
};

use super::durable;
use crate::{
    harness::{Sample, percentile},
    load::{self, Broker, Deposited},
    report::{Reach, Row},
    stage::Stage,
};

const DEPOSIT: pavane::EntryPoint = pavane::EntryPoint::new("deposit");

/// Between two events, so that nothing is under way when the next one starts.
const PAUSE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn run(stage: &Stage) -> Result<Vec<Row>> {
    let hops = stage.size(400, 20);
    let broker = Broker::start(stage).await?;
    let mut services = Services::start(stage, &broker).await?;
    let mut raw = Raw::start(stage, &broker).await?;
    services.hops(10).await?;
    raw.hops(10).await?;
    let mut samples = [const { (Vec::new(), Vec::new()) }; 2];
    for _ in 0..stage.runs {
        let (mut pavane, mut anchor) = (services.hops(hops).await?, raw.hops(hops).await?);
        for (percent, (mine, theirs)) in [50.0, 99.0].into_iter().zip(&mut samples) {
            mine.push(percentile(&mut pavane, percent));
            theirs.push(percentile(&mut anchor, percent));
        }
    }
    services.stop().await?;
    let work = format!("{hops} hops from commit to the next handler; commit, publish and raw subscriber");
    let rows = samples.into_iter().zip([("hop p50", 1.5), ("hop p99", 2.0)]);
    Ok(rows
        .map(|((mine, theirs), (name, bound))| {
            Row::new(name, &work, "ms", (Sample::new(mine), Sample::new(theirs)), Reach::AtMost(bound))
        })
        .collect())
}

/// A service that runs: what stops it, and what it ends with.
type Running = (oneshot::Sender<()>, JoinHandle<Result<(), pavane::Error>>);

/// Two services with a database each: one emits, the other one says when its handler starts.
struct Services {
    entry: Entry<Postgres>,
    arrivals: mpsc::UnboundedReceiver<Instant>,
    running: Vec<Running>,
}

/// Where the second service says that its handler starts.
type Arrivals = mpsc::UnboundedSender<Instant>;

async fn note(arrivals: &Arrivals, _: &mut Tx<Postgres>, _: &Envelope<Deposited>) -> Handled {
    arrivals.send(Instant::now())?;
    Ok(())
}

impl Services {
    async fn start(stage: &Stage, broker: &Broker) -> Result<Self> {
        let (arrivals, arrived) = mpsc::unbounded_channel();
        let teller = Service::<(), Postgres>::new("teller", ()).entry(&DEPOSIT, Declared::emits::<Deposited>);
        let teller = teller.connect(Config::new(broker.url()).database(durable::database(stage).await?)).await?;
        let entry = teller.entry(&DEPOSIT);
        let ledger = Service::<Arrivals, Postgres>::new(load::SERVICE, arrivals).react("note", on(note));
        let ledger = ledger.connect(Config::new(broker.url()).database(durable::database(stage).await?)).await?;
        let (stop, stopped) = oneshot::channel();
        let teller = (stop, tokio::spawn(teller.run_until(async { drop(stopped.await) })));
        let (stop, stopped) = oneshot::channel();
        let ledger = (stop, tokio::spawn(ledger.run_until(async { drop(stopped.await) })));
        Ok(Self { entry, arrivals: arrived, running: vec![teller, ledger] })
    }

    /// Milliseconds from the beginning of the commit to the start of the handler.
    async fn hops(&mut self, hops: usize) -> Result<Vec<f64>> {
        let mut latencies = Vec::with_capacity(hops);
        for number in 0..hops {
            sleep(PAUSE).await;
            let mut tx = self.entry.begin(Correlation::start()).await?;
            tx.emit(&load::deposited(number)).await?;
            let started = Instant::now();
            tx.commit().await?;
            let arrived = timeout(PATIENCE, self.arrivals.recv()).await?.context("the service ended")?;
            latencies.push(milliseconds(arrived - started));
        }
        Ok(latencies)
    }

    async fn stop(self) -> Result<()> {
        for (stop, running) in self.running {
            drop(stop);
            running.await??;
        }
        Ok(())
    }
}

/// A commit, a publish and a subscriber, by hand.
struct Raw {
    conn: PgConnection,
    context: Arc<async_nats::jetstream::Context>,
    messages: pull::Stream,
}

impl Raw {
    async fn start(stage: &Stage, broker: &Broker) -> Result<Self> {
        let url = durable::database(stage).await?;
        let context = async_nats::jetstream::new(async_nats::connect(broker.url()).await?);
        let config = pull::Config {
            durable_name: Some("raw".to_owned()),
            ack_policy: AckPolicy::Explicit,
            deliver_policy: DeliverPolicy::New,
            filter_subject: "events.teller.raw.>".to_owned(),
            ..pull::Config::default()
        };
        let messages = context.get_stream(EVENTS).await?.create_consumer(config).await?.messages().await?;
        Ok(Self { conn: PgConnection::connect(&url).await?, context: Arc::new(context), messages })
    }

    async fn hops(&mut self, hops: usize) -> Result<Vec<f64>> {
        let mut latencies = Vec::with_capacity(hops);
        for number in 0..hops {
            sleep(PAUSE).await;
            let body = serde_json::to_vec(&load::deposited(number))?;
            let mut tx = self.conn.begin().await?;
            sqlx::query("insert into pavane_outcome (saga, event, decided_at) values (gen_random_uuid(), $1, 1)")
                .bind(std::str::from_utf8(&body)?)
                .execute(&mut *tx)
                .await?;
            let started = Instant::now();
            tx.commit().await?;
            let ack = self.context.publish("events.teller.raw.1", body.into()).await?;
            let message = timeout(PATIENCE, self.messages.next()).await?.context("the messages ended")??;
            latencies.push(milliseconds(started.elapsed()));
            ack.await?;
            message.ack().await.map_err(anyhow::Error::from_boxed)?;
        }
        Ok(latencies)
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
