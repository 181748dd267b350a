//! A monitor on a stream with a million events: how long it takes to be ready, how much memory it needs at most, and how fast it
//! answers over HTTP. Fails when one of them is not as docs/monitor.md says.
//!
//! `cargo build --release -p monitor && cargo run --release -p monitor --example million [events]`
#![expect(clippy::print_stdout, reason = "it reports")]

use std::{env, fs, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use pavane::{Envelope, Key, SagaId};
use pavane_bus::{Bus as _, JetStream, Outgoing, Topology, jetstream::Config};
use pavane_contract::{Cause, Clock as _, EventId, EventRef, Meta, SystemClock, codec, subject};
use pavane_testkit::servers::{Nats, Tools, free_port};
use rand::{SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

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
/// What a monitor of a million events may need.
const MEGABYTES_MAX: u64 = 250;
/// How long the page of a saga may take, at the median.
const PAGE_MAX: Duration = Duration::from_millis(50);
/// How many sagas are looked at.
const PAGES: usize = 1000;

#[tokio::main]
async fn main() -> Result<()> {
    let events = match env::args().nth(1) {
        Some(events) => events.parse().context("the number of events")?,
        None => 1_000_000,
    };
    let nats = Nats::start(&Tools::from_env()).await?;
    let bus = JetStream::connect(Config::new(nats.url(), "million")).await?;
    bus.provision(&Topology::default()).await?;
    declare(&bus).await?;
    let sagas = publish(&bus, events).await?;
    println!("{events} events of {} sagas", sagas.len());

    let monitor = Monitor::start(&nats.url())?;
    println!("ready after {:.1} s", monitor.ready().await?.as_secs_f64());
    println!("then {} MB, at most {} MB so far", monitor.megabytes("VmRSS:")?, monitor.megabytes("VmHWM:")?);
    let mut rng = StdRng::seed_from_u64(1);
    let (mut pages, some) = (Vec::new(), sagas.choose_multiple(&mut rng, PAGES));
    for saga in some {
        pages.push(monitor.ask(&format!("/api/sagas/{saga}")).await?);
    }
    let (median, p99) = spread(&mut pages);
    println!("the page of one of {PAGES} sagas: median {median:?}, p99 {p99:?}");
    for path in ["/api/sagas", "/api/sagas?text=01a2", "/api/stuck", "/api/overview", "/api/flow", "/metrics"] {
        let mut times = Vec::new();
        for _ in 0..20 {
            times.push(monitor.ask(path).await?);
        }
        let (median, slowest) = spread(&mut times);
        println!("{path}: median {median:?}, slowest {slowest:?}");
    }
    let peak = monitor.megabytes("VmHWM:")?;
    println!("{peak} MB at most");
    ensure!(median < PAGE_MAX, "the page of a saga takes {median:?}");
    ensure!(peak <= MEGABYTES_MAX, "it needs {peak} MB");
    Ok(())
}

/// The monitor, as a process of its own.
struct Monitor {
    process: Child,
    url: String,
    http: reqwest::Client,
    started: Instant,
}

impl Monitor {
    fn start(nats_url: &str) -> Result<Self> {
        let example = env::current_exe()?;
        let binary = example.ancestors().nth(2).context("no folder above the examples'")?.join("monitor");
        let address = format!("127.0.0.1:{}", free_port()?);
        let started = Instant::now();
        let mut command = Command::new(&binary);
        command.env("NATS_URL", nats_url).env("HTTP_ADDR", &address).env("MONITOR_OPEN", "yes");
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn();
        let process = process.with_context(|| format!("{}: build it first", binary.display()))?;
        Ok(Self { process, url: format!("http://{address}"), http: reqwest::Client::new(), started })
    }

    /// Waits until everything was read, and says how long that took from the process's start.
    async fn ready(&self) -> Result<Duration> {
        loop {
            let answer = self.http.get(format!("{}/readyz", self.url)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(self.started.elapsed());
            }
            ensure!(self.started.elapsed() < Duration::from_mins(5), "it is not ready after five minutes");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// How long an answer takes, to its last byte.
    async fn ask(&self, path: &str) -> Result<Duration> {
        let started = Instant::now();
        self.http.get(format!("{}{path}", self.url)).send().await?.error_for_status()?.bytes().await?;
        Ok(started.elapsed())
    }

    /// One of the sizes that Linux tells of a process.
    fn megabytes(&self, which: &str) -> Result<u64> {
        let id = self.process.id().context("it has ended")?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find(|line| line.starts_with(which)).context("no such size")?;
        let kilobytes: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
        Ok(kilobytes / 1024)
    }
}

/// The median, and what 99 of 100 don't exceed.
fn spread(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

async fn declare(bus: &JetStream) -> Result<()> {
    let config = pavane::Config::new("");
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
async fn publish(bus: &JetStream, events: usize) -> Result<Vec<SagaId>> {
    const AT_ONCE: usize = 1000;
    let clock = SystemClock;
    let mut all = Vec::new();
    let mut left = events;
    while left > 0 {
        let sagas: Vec<SagaId> = (0..AT_ONCE.min(left)).map(|_| SagaId::new(&clock)).collect();
        let mut causes: Vec<Option<EventId>> = vec![None; sagas.len()];
        for name in EVENTS {
            let batch = sagas.iter().zip(&mut causes).take(left).map(|(saga, cause)| {
                let id = EventId::new(&clock);
                let cause = cause.replace(id);
                outgoing(id, name, *saga, cause)
            });
            for outcome in bus.publish(batch.collect()).await {
                outcome?;
            }
            left -= left.min(sagas.len());
        }
        all.extend(sagas);
    }
    Ok(all)
}

fn outgoing(id: EventId, name: &str, saga: SagaId, cause: Option<EventId>) -> Outgoing {
    let event = EventRef { name: name.to_owned(), version: 1 };
    let key = Key::from(saga.as_uuid());
    let subject = subject::of(&event, &key);
    let source = event.owner().to_owned();
    let cause = Cause { event: cause, ..Cause::new(saga, SystemClock.now()) };
    let meta = Meta { id, event, key, source, time: SystemClock.now(), cause };
    let body = "x".repeat(200);
    let envelope = Envelope { meta: meta.into(), body };
    let headers = codec::encode(&envelope);
    Outgoing { subject, headers, payload: format!("\"{}\"", envelope.body).into(), message_id: id.to_string() }
}
