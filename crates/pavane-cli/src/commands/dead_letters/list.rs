//! `pavane dead-letters list`.

use std::fmt;

use clap::Args;
use pavane_contract::Timestamp;
use pavane_observe::{
    LetterFilter,
    report::{DeadLetter, DeadLetterGroup, LetterFate},
};
use serde::Serialize;

use super::Selection;
use crate::{
    columns::Columns,
    deployment::Deployment,
    output::{Exit, Output},
    style::{BAD, FAINT, GOOD, STRONG, Styled},
    words,
};

/// How many letters of a group are shown without `--every`.
const SHOWN: usize = 5;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Include letters with a decision.
    #[arg(long)]
    decided: bool,
    /// Show every letter of a group, not only the first five.
    #[arg(long)]
    every: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    as_of: Timestamp,
    groups: Vec<DeadLetterGroup>,
    letters: Vec<DeadLetter>,
    #[serde(skip)]
    shown: usize,
}

pub(super) async fn run(deployment: &Deployment, arguments: &Arguments, output: Output) -> anyhow::Result<Exit> {
    let view = deployment.view().await?;
    let mut filter = arguments.selection.filter();
    filter.decided = arguments.decided;
    let answer = Answer {
        as_of: view.as_of(),
        groups: view.dead_letter_groups(&filter),
        letters: view.dead_letters(&filter),
        shown: if arguments.every { usize::MAX } else { SHOWN },
    };
    output.answer(&answer)?;
    Ok(Exit::found(answer.letters.iter().any(|letter| letter.fate == LetterFate::Open)))
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.letters.is_empty() {
            return write!(f, "{}", Styled(GOOD, "no dead letters"));
        }
        for group in &self.groups {
            writeln!(f, "{} × {}/{}", Styled(STRONG, group.count), group.service, group.reaction)?;
            writeln!(f, "  {}", Styled(BAD, &group.cause))?;
            writeln!(f, "  {}", Styled(FAINT, format!("--group '{}'", group.id)))?;
            writeln!(f, "{}", self.of(group))?;
        }
        Ok(())
    }
}

impl Answer {
    fn of(&self, group: &DeadLetterGroup) -> Columns {
        let mut lines = Columns::indented(4);
        let mut same = LetterFilter::default();
        (same.group, same.decided) = (Some(group.id.clone()), true);
        for letter in self.letters.iter().filter(|letter| same.matches(letter)).take(self.shown) {
            let ago = format!("{} ago", words::since(letter.stored_at, self.as_of));
            let fate = match letter.fate {
                LetterFate::Redriven => "redriven",
                LetterFate::Discarded => "discarded",
                _ if letter.undo => "an undo: somebody has to decide",
                LetterFate::Open | _ => "",
            };
            let event = if letter.event.is_empty() { &letter.subject } else { &letter.event };
            lines.row([&letter.sequence, event, &letter.key, &words::counted(letter.attempts, "attempt"), &ago, &fate]);
        }
        if group.count > self.shown {
            lines.free(format!("… and {} more", group.count - self.shown));
        }
        lines
    }
}
