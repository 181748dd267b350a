//! `scale`: several processes of one service share its work, beside one process.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use tokio::process::{Child, Command};

use super::durable;
use crate::{
    harness::pair,
    load::{self, Broker},
    programs,
    report::{Reach, Row},
    stage::Stage,
};

pub(crate) async fn run(stage: &Stage) -> Result<Vec<Row>> {
    let events = stage.size(40_000, 1_000);
    let broker = Broker::start(stage).await?;
    broker.fill(events).await?;
    let mut rows = Vec::new();
    for processes in [2, 4] {
        let several = async || share(stage, &broker, processes, events).await;
        let one = async || share(stage, &broker, 1, events).await;
        let samples = pair(stage.runs, several, one).await?;
        let work = format!("durable, {events} events, {processes} processes of the service; one process");
        rows.push(Row::new(&format!("scale {processes}"), &work, "events/s", samples, Reach::Stated));
    }
    Ok(rows)
}

/// Lets processes share the backlog, and returns how many events they handled in a second once all of them ran.
async fn share(stage: &Stage, broker: &Broker, processes: usize, events: usize) -> Result<f64> {
    let program = programs::path("instance").await?;
    let durable = format!("{}_{}", load::SERVICE, load::REACTION);
    broker.forget(&durable).await?;
    let url = durable::database(stage).await?;
    let start = || -> Result<Child> {
        let mut command = Command::new(&program);
        command.args([&broker.url(), &url]).stdin(Stdio::null()).kill_on_drop(true);
        command.spawn().with_context(|| format!("{} can't be run", program.display()))
    };
    let mut running = (0..processes).map(|_| start()).collect::<Result<Vec<_>>>()?;
    let rate = broker.rate(&durable, events).await?;
    for process in &mut running {
        process.kill().await?;
    }
    durable::check(&url, events).await?;
    Ok(rate)
}
