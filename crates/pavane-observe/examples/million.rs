//! How long a view of a million events takes to load, how much memory it needs, and how fast it answers.
//!
//! `cargo run --release -p pavane-observe --example million [events]`
#![expect(clippy::print_stdout, reason = "it reports")]

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use pavane_bus::{Bus as _, JetStream, Outgoing, Topology, jetstream::Config};
use pavane_contract::{Cause, Clock as _, Envelope, EventId, EventRef, Key, Meta, SagaId, SystemClock, codec, subject};
use pavane_observe::{Feed, Limits, View};
use pavane_testkit::servers::{Nats, Tools};
use tokio::time::Instant;

/// A confirmed order and its deadline, which passes later.
const EVENTS: [&str; 7] = [
    "order.placed",
    "payment.authorized",
    "inventory.reserved",
    "shipping.created",
    "payment.captured",
    "order.confirmed",
    "order.deadline-passed",
];

#[tokio::main]
async fn main() -> Result<()> {
    let events = match std::env::args().nth(1) {
        Some(events) => events.parse().context("the number of events")?,
        None => 1_000_000,
    };
    let nats = Nats::start(&Tools::from_env()).await?;
    let bus = JetStream::connect(Config::new(nats.url(), "million")).await?;
    bus.provision(&Topology::default()).await?;
    declare(&bus).await?;
    let last = publish(&bus, events).await?;

    let before = resident_megabytes()?;
    let (started, processor, mut applying) = (Instant::now(), cpu_seconds()?, Duration::ZERO);
    let mut view = View::new(Limits::default());
    let mut feed = Feed::new(bus);
    let load = feed.load_into(|updates| {
        let begun = Instant::now();
        view.apply(updates);
        applying += begun.elapsed();
    });
    load.await?;
    let (took, processor) = (started.elapsed().as_secs_f64(), cpu_seconds()? - processor);
    let overview = view.overview();
    println!("{} events of {} sagas", overview.events, view.sagas(&<_>::default()).total);
    println!("loaded in {took:.1} s: {processor:.1} s of processor time, {:.1} s in the view", applying.as_secs_f64());
    println!("{:.0} MB more than before", resident_megabytes()? - before);
    println!("{:?}", overview.states);
    let mut pages: Vec<Duration> = Vec::new();
    for _ in 0..1000 {
        let started = Instant::now();
        view.saga(last).context("the last saga")?;
        pages.push(started.elapsed());
    }
    pages.sort();
    println!("a saga page: median {:?}, p99 {:?}", pages[500], pages[990]);
    for (what, ask) in [
        ("find by key", (|view: &View| view.find("none").len()) as fn(&View) -> usize),
        ("overview", |view| view.overview().states.len()),
        ("stuck", |view| view.stuck().len()),
        ("first page", |view| view.sagas(&<_>::default()).total),
    ] {
        let started = Instant::now();
        ask(&view);
        println!("{what}: {:?}", started.elapsed());
    }
    Ok(())
}

async fn declare(bus: &JetStream) -> Result<()> {
    let config = pavane::Config::new("", "");
    let psp = payment::PspClient::new(&payment::Settings::default())?;
    let mailer = notification::Mailer::new(&notification::Settings::default())?;
    for declaration in [
        order::service(order::Orders::default()).declaration(&config),
        payment::service(payment::Payment::new(psp)).declaration(&config),
        inventory::service(inventory::Inventory).declaration(&config),
        shipping::service(shipping::Shipping).declaration(&config),
        notification::service(notification::Notification::new(mailer)).declaration(&config),
    ] {
        let json = serde_json::to_vec(&declaration)?;
        bus.declare(&Topology::default(), &declaration.manifest.service, json.into()).await?;
    }
    Ok(())
}

/// Sagas side by side, as they are in life: a thousand at a time.
async fn publish(bus: &JetStream, events: usize) -> Result<SagaId> {
    const AT_ONCE: usize = 1000;
    let clock = SystemClock;
    let mut last = SagaId::new(&clock);
    let mut left = events;
    while left > 0 {
        let sagas: Vec<SagaId> = (0..AT_ONCE).map(|_| SagaId::new(&clock)).collect();
        let mut causes: Vec<Option<EventId>> = vec![None; AT_ONCE];
        for name in EVENTS {
            let count = left.min(AT_ONCE);
            let batch = (0..count).map(|number| {
                let id = EventId::new(&clock);
                let cause = causes[number].replace(id);
                outgoing(id, name, sagas[number], cause)
            });
            for outcome in bus.publish(batch.collect()).await {
                outcome?;
            }
            left -= count;
            last = if count > 0 { sagas[0] } else { last };
        }
    }
    Ok(last)
}

fn outgoing(id: EventId, name: &str, saga: SagaId, cause: Option<EventId>) -> Outgoing {
    let event = EventRef { name: name.to_owned(), version: 1 };
    let key = Key::from(saga.as_uuid());
    let subject = subject::of(&event, &key);
    let source = event.owner().to_owned();
    let cause = Cause { saga, event: cause, trace: None };
    let meta = Meta { id, event, key, source, time: SystemClock.now(), cause };
    let body = "x".repeat(200);
    let envelope = Envelope { meta: meta.into(), body };
    let headers = codec::encode(&envelope);
    Outgoing { subject, headers, payload: format!("\"{}\"", envelope.body).into(), message_id: id.to_string() }
}

/// Processor time that this process has used.
fn cpu_seconds() -> Result<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").context("no name")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
}

fn resident_megabytes() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kilobytes / 1024.0)
}
