//! `relay`: draining an outbox on PostgreSQL, beside a raw pipelined publish of the same bodies.

use std::collections::VecDeque;

use anyhow::{Result, ensure};
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use pavane::database::{Config, Db};
use pavane_bus::topology::EVENTS;
use pavane_contract::{EventId, SystemClock};
use pavane_outbox::relay::{self, Progress, Relay};
use sqlx::Postgres;
use tokio::time::Instant;

use super::durable;
use crate::{
    harness::pair,
    load::{self, ACCOUNTS, Broker},
    report::{Reach, Row},
    stage::Stage,
};

/// How many publishes the anchor has in flight: more doesn't make it faster.
const IN_FLIGHT: usize = 1024;

pub(crate) async fn run(stage: &Stage) -> Result<Vec<Row>> {
    let rows = stage.size(200_000, 2_000);
    let broker = Broker::start(stage).await?;
    let pavane = async || {
        broker.anew().await?;
        let url = durable::database(stage).await?;
        fill(&url, rows).await?;
        drain(&broker, &url, rows).await
    };
    let raw = async || {
        broker.anew().await?;
        tokio::spawn(publish(broker.url(), rows)).await?
    };
    let samples = pair(stage.runs, pavane, raw).await?;
    let work = format!("{rows} outbox rows to JetStream, PostgreSQL; a pipelined publish with a message id");
    Ok(vec![Row::new("relay", &work, "rows/s", samples, Reach::AtLeast(0.5))])
}

/// Leaves rows in the outbox, as a service would have.
///
/// # Errors
///
/// When the database fails.
pub(crate) async fn fill(url: &str, rows: usize) -> Result<()> {
    let event = load::outgoing(&load::booked(&load::deposited(0)), load::SERVICE)?;
    let db = Db::<Postgres>::open(Config::new(load::SERVICE, url)).await?;
    let fill = "with events as (insert into pavane_outbox (event_id, subject, headers, payload, emitted_at) \
                select gen_random_uuid(), 'events.ledger.booked.account-' || n % $1, $2, $3, 1 \
                from generate_series(1, $4) as n returning seq) insert into pavane_unsent select seq from events";
    sqlx::query(fill)
        .bind(i64::try_from(ACCOUNTS)?)
        .bind(serde_json::to_string(&event.headers)?)
        .bind(&event.payload[..])
        .bind(i64::try_from(rows)?)
        .execute(db.writers())
        .await?;
    sqlx::raw_sql("vacuum analyze").execute(db.writers()).await?;
    sqlx::raw_sql("checkpoint").execute(db.writers()).await?;
    db.close().await;
    Ok(())
}

/// Relays so many rows, and returns how many in a second.
///
/// # Errors
///
/// When not all of them arrive.
pub(crate) async fn drain(broker: &Broker, url: &str, rows: usize) -> Result<f64> {
    let db = Db::<Postgres>::open(Config::new(load::SERVICE, url)).await?;
    let mut relay = Relay::new(db.clone(), broker.bus(load::SERVICE).await?, relay::Config::default());
    let before = broker.context.get_stream(EVENTS).await?.cached_info().state.messages;
    let (mut relay, done, rate) = tokio::spawn(async move {
        let (started, mut done) = (Instant::now(), 0);
        while done < rows {
            match Box::pin(relay.turn()).await? {
                Progress::Sent { sent, refused } => {
                    ensure!(refused == 0, "the broker refused {refused} events");
                    done += sent;
                }
                Progress::Idle { .. } | Progress::Standby | _ => {
                    anyhow::bail!("nothing to send after {done} of {rows} rows")
                }
            }
        }
        Ok((relay, done, load::per_second(done, started)))
    })
    .await??;
    let stored = broker.context.get_stream(EVENTS).await?.cached_info().state.messages - before;
    ensure!(stored == u64::try_from(done)?, "{done} rows were sent, {stored} are stored");
    relay.release().await?;
    db.close().await;
    Ok(rate)
}

/// Publishes the same bodies with the bare client, and returns how many in a second.
async fn publish(url: String, events: usize) -> Result<f64> {
    let client = async_nats::connect(url).await?;
    let context = async_nats::jetstream::new(client);
    let body = Bytes::from(serde_json::to_vec(&load::booked(&load::deposited(0)))?);
    let mut pending = VecDeque::with_capacity(IN_FLIGHT);
    let started = Instant::now();
    for number in 0..events {
        if pending.len() == IN_FLIGHT
            && let Some(oldest) = pending.pop_front()
        {
            IntoFuture::into_future(oldest).await?;
        }
        let id = EventId::new(&SystemClock).to_string();
        let message = PublishMessage::build().payload(body.clone()).message_id(id);
        let subject = format!("events.ledger.booked.{}", load::account(number));
        pending.push_back(context.send_publish(subject, message).await?);
    }
    for ack in pending {
        ack.await?;
    }
    Ok(load::per_second(events, started))
}
