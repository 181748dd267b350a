//! `pavane dead-letters discard`.

use std::{fmt, time::Duration};

use clap::Args;
use pavane_contract::SystemClock;
use pavane_observe::{
    redrive::{self, Progress},
    report::{DeadLetter, Decision},
};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::{Decider, Doing, Selection, act::attended};
use crate::{
    columns::Columns,
    deployment::Deployment,
    output::{Exit, Output},
    style::{BAD, CAREFUL, GOOD, Styled},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    decider: Decider,
    #[command(flatten)]
    doing: Doing,
}

#[derive(Debug, Default, Serialize)]
struct Answer {
    dry_run: bool,
    letters: Vec<DeadLetter>,
    decisions: Vec<Decision>,
    failed: Vec<Failure>,
    cancelled: bool,
}

#[derive(Debug, Serialize)]
struct Failure {
    dead_letter: u64,
    error: String,
}

pub(super) async fn run(deployment: &Deployment, arguments: &Arguments, output: Output) -> anyhow::Result<Exit> {
    let Arguments { selection, decider, doing } = arguments;
    let (filter, because) = (selection.to_act_on(doing)?, decider.because()?);
    let letters = deployment.view().await?.dead_letters(&filter);
    super::all_there(&selection.numbers, letters.iter().map(|letter| letter.sequence))?;
    let mut answer = Answer { dry_run: doing.dry_run, letters, ..Answer::default() };
    if !doing.dry_run {
        let mut pace = interval(Duration::from_secs(1) / doing.rate);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let letters = std::mem::take(&mut answer.letters);
        attended("discarding", output, async |progress, cancel| {
            for letter in &letters {
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => {
                        answer.cancelled = true;
                        break;
                    }
                    _ = pace.tick() => {}
                }
                match redrive::discard(&deployment.bus, &SystemClock, letter, &because).await {
                    Ok(decision) => answer.decisions.push(decision),
                    Err(error) => {
                        answer.failed.push(Failure { dead_letter: letter.sequence, error: error.to_string() });
                    }
                }
                progress.send_modify(|now: &mut Progress| {
                    (now.total, now.redriven) = (letters.len(), answer.decisions.len());
                    now.failed = answer.failed.len();
                });
            }
        })
        .await;
        answer.letters = letters;
    }
    output.answer(&answer)?;
    let done = if doing.dry_run { answer.letters.len() } else { answer.decisions.len() };
    Ok(Exit::found(done < answer.letters.len()))
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (total, done) = (self.letters.len(), self.decisions.len());
        if total == 0 {
            return f.write_str("there are no such dead letters");
        }
        if self.dry_run {
            let mut letters = Columns::indented(2);
            for DeadLetter { sequence, service, reaction, event, key, .. } in &self.letters {
                letters.row([sequence, &format!("{service}/{reaction}"), event, key]);
            }
            return write!(f, "{letters}{}", Styled(GOOD, format!("{total} of {total} would be discarded")));
        }
        for Failure { dead_letter, error } in &self.failed {
            writeln!(f, "  {dead_letter}  {}", Styled(BAD, error))?;
        }
        let style = if done == total { GOOD } else { CAREFUL };
        write!(f, "{}", Styled(style, format!("{done} of {total} discarded")))?;
        if self.cancelled {
            write!(f, "; stopped by you: the others are dead letters as before")?;
        }
        Ok(())
    }
}
