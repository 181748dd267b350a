//! `pavane dead-letters`: what reactions gave up on, and what is decided about it.

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
    /// List them, those together that have service, reaction and cause in common.
    ///
    /// Exit status 1 when there is one that nobody has decided about.
    List(list::Arguments),
    /// Show one: why the reaction gave up, what speaks against a redrive, headers and body.
    Show(show::Arguments),
    /// Give them to their reaction again, after a look at each.
    ///
    /// The event keeps its id, so the reaction's inbox knows whether it was handled: no effect runs twice. Who did it and why
    /// is kept in the stream AUDIT. Ctrl-C stops between two letters and says how far it got.
    ///
    /// Exit status 1 when a letter was left alone or failed.
    Redrive(redrive::Arguments),
    /// Delete them for good, and keep who did it and why.
    Discard(discard::Arguments),
}

/// Which dead letters: every condition that is given must hold.
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
    /// Why. It is kept.
    #[arg(long)]
    reason: String,
    /// Who decides. It is kept.
    #[arg(long, value_name = "NAME", env = "USER")]
    by: String,
}

/// How much is done at once.
#[derive(Debug, Args)]
pub(crate) struct Doing {
    /// All of them, when nothing else says which.
    #[arg(long)]
    all: bool,
    /// Say what would be done, and do nothing.
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

    /// Whether it leaves anything out.
    fn is_narrow(&self) -> bool {
        self.filter() != LetterFilter::default()
    }

    /// The filter of something that is going to be done: everything only where that is said.
    fn to_act_on(&self, doing: &Doing) -> anyhow::Result<LetterFilter> {
        anyhow::ensure!(
            self.is_narrow() || doing.all,
            "no dead letters are named; give their numbers, a filter, or --all"
        );
        let mut filter = self.filter();
        // Who names a letter wants to hear that it was decided about, not that it isn't there.
        filter.decided = !self.numbers.is_empty();
        Ok(filter)
    }
}

impl Decider {
    pub(crate) fn because(&self) -> anyhow::Result<Because> {
        Ok(Because::new(&self.by, &self.reason)?)
    }
}

/// A letter that somebody names and that isn't there was named by mistake: nothing is done then.
fn all_there(named: &[u64], found: impl Iterator<Item = u64>) -> anyhow::Result<()> {
    let found: Vec<u64> = found.collect();
    let missing: Vec<String> = named.iter().filter(|named| !found.contains(named)).map(ToString::to_string).collect();
    anyhow::ensure!(missing.is_empty(), "there is no dead letter {}", missing.join(", "));
    Ok(())
}
