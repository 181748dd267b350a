//! `pavane retry-undo`: runs the undos of a saga again that gave up.

use anyhow::Context;
use clap::Args;
use pavane_observe::redrive::Options;

use super::{Decider, redrive};
use crate::{
    deployment::{self, Deployment},
    output::{Exit, Output},
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

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, output: Output) -> anyhow::Result<Exit> {
    let Arguments { what, decider, dry_run } = arguments;
    let (because, view) = (decider.because()?, deployment.view().await?);
    let saga = deployment::only_saga(&view, what)?;
    let undos = view.failed_undos(saga).context("no undo of this saga gave up; see `pavane trace`")?;
    let mut plan = view.plan(&undos);
    plan.look_at_bodies(&deployment.bus).await?;
    let mut options = Options::default();
    options.dry_run = *dry_run;
    redrive::carry_out(deployment, (plan, options), &because, output).await
}
