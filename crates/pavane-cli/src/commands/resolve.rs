//! `pavane resolve`: records that a saga was settled in another way.

use std::fmt;

use anyhow::{Context, bail, ensure};
use clap::Args;
use pavane_contract::SystemClock;
use pavane_observe::{SagaSummary, State, audit, report::Decision};
use serde::Serialize;

use super::dead_letters::Decider;
use crate::{
    deployment::{self, Deployment},
    output::{Exit, Output},
    style::{GOOD, STRONG, Styled, state},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What the saga is about (an order's number), its id, or the id of one of its events.
    #[arg(value_name = "SAGA|KEY|EVENT")]
    what: String,
    #[command(flatten)]
    decider: Decider,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    dry_run: bool,
    /// The saga as it was before.
    saga: SagaSummary,
    decision: Option<Decision>,
}

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, output: Output) -> anyhow::Result<Exit> {
    let Arguments { what, decider, dry_run } = arguments;
    let (because, view) = (decider.because()?, deployment.view().await?);
    let saga =
        view.saga(deployment::only_saga(&view, what)?).context("its events are not in the stream any more")?.summary;
    if saga.state == State::Resolved {
        bail!("this saga is resolved already; `pavane trace` shows by whom and why");
    }
    // A saga that goes on by itself may still fail, and once resolved it is not listed any more.
    ensure!(
        matches!(saga.state, State::NeedsReview | State::Stuck),
        "this saga is {}: nothing about it needs a decision",
        saga.state.as_str()
    );
    let mut answer = Answer { dry_run: *dry_run, saga, decision: None };
    if !dry_run {
        let decision = audit::resolve(&deployment.bus, &SystemClock, answer.saga.saga, &because).await?;
        answer.decision = Some(decision);
    }
    output.answer(&answer)?;
    Ok(Exit::Fine)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SagaSummary { name, key, state: was, .. } = &self.saga;
        let name = name.as_deref().unwrap_or("saga");
        let now = if self.dry_run { "would be resolved" } else { "resolved" };
        write!(f, "{name} {}: was {}, {}", Styled(STRONG, key), state(*was), Styled(GOOD, now))
    }
}
