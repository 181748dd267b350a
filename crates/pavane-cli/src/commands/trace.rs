//! `pavane trace`: one saga, straight from the stream.

mod tell;
mod tree;

use anyhow::bail;
use clap::Args;
use pavane_contract::Key;
use pavane_observe::{SagaReport, State, View};
use serde::Serialize;

use crate::{
    deployment::Deployment,
    output::{Exit, Output},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What it is about (an order's number), its id, or the id of one of its events.
    #[arg(value_name = "SAGA|KEY|EVENT")]
    what: String,
}

/// The sagas with this key or id, the newest first.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Answer {
    sagas: Vec<SagaReport>,
}

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, output: Output) -> anyhow::Result<Exit> {
    let sagas = find(deployment, &arguments.what).await?;
    let cares = |saga: &SagaReport| matches!(saga.summary.state, State::Stuck | State::NeedsReview);
    let exit = Exit::found(sagas.iter().any(cares));
    output.answer(&Answer { sagas })?;
    Ok(exit)
}

/// It is usually a key, whose events the server selects. Otherwise all events are searched.
async fn find(deployment: &Deployment, what: &str) -> anyhow::Result<Vec<SagaReport>> {
    let key = Key::from(what.trim());
    let found = reports(&deployment.about(&key).await?, what);
    if !found.is_empty() && found.iter().all(is_whole) {
        return Ok(found);
    }
    let found = reports(&deployment.view().await?, what);
    if found.is_empty() {
        bail!("no saga has the key or the id {what:?}, and no event that the stream still has; is it older than that?");
    }
    Ok(found)
}

fn reports(view: &View, what: &str) -> Vec<SagaReport> {
    view.find(what).into_iter().filter_map(|saga| view.saga(saga)).filter(|saga| !saga.timeline.is_empty()).collect()
}

/// Whether the beginning is there, and the cause of each event.
fn is_whole(saga: &SagaReport) -> bool {
    let known = |id| saga.timeline.iter().any(|event| event.id == id);
    saga.summary.name.is_some() && saga.timeline.iter().all(|event| event.caused_by.is_none_or(known))
}
