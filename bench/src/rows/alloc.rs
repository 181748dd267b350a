//! `alloc`: instructions and allocations for each event that is consumed, beside the raw loop, and held by a budget.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use tokio::process::Command;

use crate::{
    harness::Sample,
    load::{self, Broker},
    programs,
    report::{Reach, Row},
    say,
    stage::Stage,
};

/// What one event may cost at most. Lower it when less is needed; raising it needs a reason in the commit.
const BUDGETS: &str = include_str!("../../budget.json");

/// By how the program was compiled: `cargo xtest` holds the budget of a debug build, `cargo xbench alloc` that of an optimised one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budgets {
    release: Budget,
    debug: Budget,
}

/// For each event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    allocations: f64,
    bytes: f64,
    instructions: f64,
}

pub(crate) async fn run(stage: &Stage) -> Result<Vec<Row>> {
    let Budgets { release, debug } = serde_json::from_str(BUDGETS).context("the budgets can't be read")?;
    let budget = if cfg!(debug_assertions) { debug } else { release };
    let broker = Broker::start(stage).await?;
    let events = stage.size(10_000, 2_000);
    let (mut rows, work) = (Vec::new(), "for an event that is consumed, inbox in memory, empty handler; raw loop");
    let [mine, theirs] = [allocations("pavane", &broker, events).await?, allocations("raw", &broker, events).await?];
    let row = |name, unit, mine, theirs, budget| {
        Row::new(name, work, unit, (Sample::once(mine), Sample::once(theirs)), Reach::AtMost(budget)).judged_by_value()
    };
    rows.push(row("alloc count", "allocations", mine.0, theirs.0, budget.allocations));
    rows.push(row("alloc bytes", "bytes", mine.1, theirs.1, budget.bytes));
    if has_valgrind().await {
        let events = stage.size(5_000, 1_000);
        let mine = instructions("pavane", &broker, events).await?;
        let theirs = instructions("raw", &broker, events).await?;
        rows.push(row("alloc instructions", "instructions", mine, theirs, budget.instructions));
    } else {
        say("valgrind is not installed, so no instructions are counted");
    }
    if let Some(over) = rows.iter().find(|row| row.meets == Some(false)) {
        bail!("{} is over the budget of bench/budget.json: {:?}", over.name, over.pavane);
    }
    Ok(rows)
}

/// Allocations and allocated bytes for each event.
async fn allocations(how: &str, broker: &Broker, events: usize) -> Result<(f64, f64)> {
    const WARM: usize = 1_000;
    let program = programs::path("count_allocations").await?;
    prepare(broker, WARM + events).await?;
    let mut command = Command::new(program);
    command.args([how, &broker.url(), &WARM.to_string(), &(WARM + events).to_string()]);
    let output = command.stdin(Stdio::null()).output().await?;
    ensure!(output.status.success(), "counting failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [blocks, bytes] = numbers[..] else { bail!("expected two numbers, found {text:?}") };
    Ok((blocks / load::float(events), bytes / load::float(events)))
}

/// Instructions for each event: those of a long run less those of a short one, so that the start doesn't count.
async fn instructions(how: &str, broker: &Broker, events: usize) -> Result<f64> {
    const SHORT: usize = 500;
    let long = collected(how, broker, SHORT + events).await?;
    let short = collected(how, broker, SHORT).await?;
    Ok((long - short) / load::float(events))
}

async fn collected(how: &str, broker: &Broker, events: usize) -> Result<f64> {
    let program = programs::path("count_instructions").await?;
    prepare(broker, events).await?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    command.args([how, &broker.url(), "0", &events.to_string()]);
    let output = command.stdin(Stdio::null()).output().await?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "callgrind failed: {text}");
    let collected = text.lines().find_map(|line| line.split("Collected :").nth(1));
    Ok(collected.with_context(|| format!("callgrind counted nothing: {text}"))?.trim().parse()?)
}

async fn prepare(broker: &Broker, events: usize) -> Result<()> {
    broker.anew().await?;
    broker.fill(events).await
}

async fn has_valgrind() -> bool {
    let mut command = Command::new("valgrind");
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}
