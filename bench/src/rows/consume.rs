//! `consume`: idempotent consumption with an empty handler, beside a raw pull consumer.

use anyhow::{Context as _, Result};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures_util::StreamExt as _;
use pavane::{database::Service, on};
use pavane_bus::topology::EVENTS;
use tokio::time::Instant;

use crate::{
    harness::pair,
    load::{self, Broker, Deposited},
    report::{Reach, Row},
    stage::Stage,
};

/// The name of the anchor's consumer.
const RAW: &str = "raw";

pub(crate) async fn run(stage: &Stage) -> Result<Vec<Row>> {
    let events = stage.size(100_000, 2_000);
    let broker = Broker::start(stage).await?;
    broker.fill(events).await?;
    let pavane = async || {
        let service: Service<(), sqlx::Sqlite> =
            Service::new(load::SERVICE, ()).react(load::REACTION, on(load::ignore));
        load::consume(&broker, service, "sqlite::memory:", events).await
    };
    let samples = pair(stage.runs, pavane, async || raw(&broker, events).await).await?;
    let work =
        format!("{events} events of 500 bytes, inbox in memory, empty handler; a pull consumer that decodes and acks");
    Ok(vec![Row::new("consume", &work, "events/s", samples, Reach::AtLeast(0.9))])
}

/// Pulls, decodes and acks each event with the bare client.
async fn raw(broker: &Broker, events: usize) -> Result<f64> {
    broker.forget(RAW).await?;
    // A connection of its own, as the service has.
    let context = async_nats::jetstream::new(async_nats::connect(broker.url()).await?);
    let config = pull::Config {
        durable_name: Some(RAW.to_owned()),
        ack_policy: AckPolicy::Explicit,
        max_ack_pending: 20_000,
        ..pull::Config::default()
    };
    let consumer = context.get_stream(EVENTS).await?.create_consumer(config).await?;
    let started = Instant::now();
    let mut messages = consumer.stream().max_messages_per_batch(1000).messages().await?;
    for _ in 0..events {
        let message = messages.next().await.context("the messages ended")??;
        let event: Deposited = serde_json::from_slice(&message.payload)?;
        std::hint::black_box(event);
        message.ack().await.map_err(anyhow::Error::from_boxed)?;
    }
    broker.acked(RAW, events).await?;
    Ok(load::per_second(events, started))
}
