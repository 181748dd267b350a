//! `idle`: what a service costs that has nothing to do, beside a bare subscriber.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use pavane_testkit::servers::free_port;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::{
    harness::Sample,
    load::{self, Broker},
    programs,
    report::{Reach, Row},
    stage::Stage,
};

const READY_WITHIN: Duration = Duration::from_secs(30);

pub(crate) async fn run(stage: &Stage) -> Result<Vec<Row>> {
    let broker = Broker::start(stage).await?;
    let watched = Duration::from_secs(if stage.smoke { 1 } else { 10 });
    let (service, subscriber) = (programs::path("idle_service").await?, programs::path("idle_subscriber").await?);
    let mut seen = [const { Vec::new() }; 2];
    for _ in 0..stage.runs {
        seen[0].push(watch(&service, &broker, watched).await?);
        seen[1].push(watch(&subscriber, &broker, watched).await?);
    }
    let sample = |of: fn(&Seen) -> f64| {
        let [mine, theirs] = &seen;
        (Sample::new(mine.iter().map(of).collect()), Sample::new(theirs.iter().map(of).collect()))
    };
    let row = |name, work, unit, of, reach| Row::new(name, work, unit, sample(of), reach).judged_by_value();
    Ok(vec![
        row(
            "idle memory",
            "resident memory of an idle service; bare subscriber",
            "MB",
            |it| it.memory,
            Reach::AtMost(25.0),
        ),
        row("idle CPU", "of one core", "%", |it| it.cpu, Reach::AtMost(0.5)),
        row("idle start", "from the process's start until it is ready", "ms", |it| it.ready, Reach::AtMost(300.0)),
        row("idle size", "of the program's file", "MB", |it| it.size, Reach::Stated),
    ])
}

/// What was seen of a process.
struct Seen {
    /// Resident memory in MB.
    memory: f64,
    /// Percent of one core.
    cpu: f64,
    /// Milliseconds until it was ready.
    ready: f64,
    /// Size of the program's file in MB.
    size: f64,
}

async fn watch(program: &Path, broker: &Broker, watched: Duration) -> Result<Seen> {
    let folder = tempfile::tempdir()?;
    let database = format!("sqlite:{}", folder.path().join("idle.db").display());
    let address = format!("127.0.0.1:{}", free_port()?);
    // The first start makes the tables and the consumers; what counts is every later one.
    let mut first = start(program, [&broker.url(), &database, &address])?;
    until_ready(&mut first, &address).await?;
    first.kill().await?;
    let started = Instant::now();
    let mut process = start(program, [&broker.url(), &database, &address])?;
    until_ready(&mut process, &address).await?;
    let ready = started.elapsed().as_secs_f64() * 1000.0;
    let id = process.id().context("the process has ended")?;
    // What it does because it has just been started is not idleness.
    sleep(watched / 5).await;
    let before = cpu_seconds(id)?;
    sleep(watched).await;
    let cpu = (cpu_seconds(id)? - before) / watched.as_secs_f64() * 100.0;
    let memory = resident_kib(id)? / 1024.0;
    process.kill().await?;
    let size = load::float(usize::try_from(fs::metadata(program)?.len())?) / 1e6;
    Ok(Seen { memory, cpu, ready, size })
}

fn start(program: &Path, arguments: [&str; 3]) -> Result<Child> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command.spawn().with_context(|| format!("{} can't be run", program.display()))
}

async fn until_ready(process: &mut Child, address: &str) -> Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    let ready = format!("http://{address}/readyz");
    let http = reqwest::Client::new();
    loop {
        // The subscriber speaks no HTTP: that it accepts is its readiness, and a service accepts before it is ready.
        if TcpStream::connect(address).await.is_ok() && answers(&http, &ready).await {
            return Ok(());
        }
        ensure!(process.try_wait()?.is_none(), "the process ended");
        ensure!(Instant::now() < deadline, "the process isn't ready after {READY_WITHIN:?}");
        sleep(Duration::from_millis(1)).await;
    }
}

async fn answers(http: &reqwest::Client, url: &str) -> bool {
    match http.get(url).timeout(Duration::from_secs(1)).send().await {
        Ok(response) => response.status().is_success(),
        // It closed the connection without an answer: the subscriber.
        Err(error) => !error.is_connect() && !error.is_timeout(),
    }
}

/// CPU time that a process has used; see `proc(5)`.
fn cpu_seconds(id: u32) -> Result<f64> {
    /// The unit of times in `/proc`, on every Linux that Rust runs on.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name, in brackets, may hold spaces.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|ticks| ticks.parse::<f64>().ok()).context("no CPU time");
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

fn resident_kib(id: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
