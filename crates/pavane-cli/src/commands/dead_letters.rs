//! `pavane dead-letters`: what reactions gave up on, and the decisions about it.

mod act;
mod discard;
mod list;
mod redrive;
pub(crate) mod retry_undo;
mod show;

use clap::{Args, Subcommand};
use pavane_contract::SagaId;
use pavane_observe::{LetterFilter, audit::Because};

use crate::{
    deployment::Deployment,
    output::{Exit, Output},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List them, grouped by service, reaction and cause.
    ///
    /// Exit status 1 when there is one without a decision.
    List(list::Arguments),
    /// Show one: why the reaction gave up, what speaks against a redrive, headers and body.
    Show(show::Arguments),
    /// Redrive them, after a check of each.
    ///
    /// The event keeps its id, so the reaction's inbox knows whether it was handled: no effect runs twice. Who did it and why is
    /// recorded in the stream AUDIT. Ctrl-C stops between two letters and reports how far it got.
    ///
    /// Exit status 1 when a letter was skipped or failed.
    Redrive(redrive::Arguments),
    /// Delete them for good, and record who did it and why.
    Discard(discard::Arguments),
}

/// Selects dead letters: all given conditions must hold.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which")]
pub(crate) struct Selection {
    /// Their numbers.
    #[arg(value_name = "NUMBER")]
    numbers: Vec<u64>,
    /// The service that gave up.
    #[arg(long)]
    service: Option<String>,
    /// The reaction that gave up.
    #[arg(long)]
    reaction: Option<String>,
    /// The event's name.
    #[arg(long)]
    event: Option<String>,
    /// A part of the cause.
    #[arg(long)]
    cause: Option<String>,
    /// A group, as `list` names it.
    #[arg(long)]
    group: Option<String>,
    /// The saga's id.
    #[arg(long)]
    saga: Option<SagaId>,
}

/// Who decides, and why.
#[derive(Debug, Args)]
#[command(next_help_heading = "Decision")]
pub(crate) struct Decider {
    /// Why. It is recorded.
    #[arg(long)]
    reason: String,
    /// Who decides. It is recorded.
    #[arg(long, value_name = "NAME", env = "USER")]
    by: String,
}

/// How much is done at once.
#[derive(Debug, Args)]
pub(crate) struct Doing {
    /// All of them, where no other condition is given.
    #[arg(long)]
    all: bool,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Most letters in a second.
    #[arg(long, value_name = "LETTERS", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
}

pub(crate) async fn run(deployment: &Deployment, command: &Command, output: Output) -> anyhow::Result<Exit> {
    match command {
        Command::List(arguments) => list::run(deployment, arguments, output).await,
        Command::Show(arguments) => show::run(deployment, arguments, output).await,
        Command::Redrive(arguments) => redrive::run(deployment, arguments, output).await,
        Command::Discard(arguments) => discard::run(deployment, arguments, output).await,
    }
}

impl Selection {
    fn filter(&self) -> LetterFilter {
        let mut filter = LetterFilter::default();
        filter.sequences.clone_from(&self.numbers);
        filter.service.clone_from(&self.service);
        filter.reaction.clone_from(&self.reaction);
        filter.event.clone_from(&self.event);
        filter.cause.clone_from(&self.cause);
        filter.group.clone_from(&self.group);
        filter.saga = self.saga;
        filter
    }

    /// Whether it excludes anything.
    fn is_narrow(&self) -> bool {
        self.filter() != LetterFilter::default()
    }

    /// The filter of an action: all letters only with `--all`.
    fn to_act_on(&self, doing: &Doing) -> anyhow::Result<LetterFilter> {
        anyhow::ensure!(
            self.is_narrow() || doing.all,
            "no dead letters are named; give their numbers, a filter, or --all"
        );
        let mut filter = self.filter();
        // A letter that is named should be reported as decided, not as missing.
        filter.decided = !self.numbers.is_empty();
        Ok(filter)
    }
}

impl Decider {
    pub(crate) fn because(&self) -> anyhow::Result<Because> {
        Ok(Because::new(&self.by, &self.reason)?)
    }
}

/// Fails where a named letter isn't there: it was named by mistake, so nothing is done.
fn all_there(named: &[u64], found: impl Iterator<Item = u64>) -> anyhow::Result<()> {
    let found: Vec<u64> = found.collect();
    let missing: Vec<String> = named.iter().filter(|named| !found.contains(named)).map(ToString::to_string).collect();
    anyhow::ensure!(missing.is_empty(), "there is no dead letter {}", missing.join(", "));
    Ok(())
}
