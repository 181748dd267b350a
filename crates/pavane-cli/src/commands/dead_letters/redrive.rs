//! `pavane dead-letters redrive`.

use std::fmt;

use clap::Args;
use pavane_contract::SystemClock;
use pavane_observe::{
    audit::Because,
    redrive::{self, Options, Plan, Preflight, Progress},
};
use serde::Serialize;

use super::{Decider, Doing, Selection, act::attended};
use crate::{
    columns::Columns,
    deployment::Deployment,
    output::{Exit, Output},
    style::{BAD, CAREFUL, GOOD, STRONG, Styled},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    decider: Decider,
    #[command(flatten)]
    doing: Doing,
    /// Redrive letters with concerns, too, except where that can't work.
    #[arg(long)]
    insist: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    dry_run: bool,
    /// The letters, as they were checked before.
    letters: Vec<Preflight>,
    progress: Progress,
}

pub(super) async fn run(deployment: &Deployment, arguments: &Arguments, output: Output) -> anyhow::Result<Exit> {
    let Arguments { selection, decider, doing, insist } = arguments;
    let (filter, because) = (selection.to_act_on(doing)?, decider.because()?);
    let mut plan = deployment.view().await?.plan(&filter);
    super::all_there(&selection.numbers, plan.letters.iter().map(|preflight| preflight.letter.sequence))?;
    plan.look_at_bodies(&deployment.bus).await?;
    if *insist {
        plan.insist();
    }
    let mut options = Options::default();
    (options.per_second, options.dry_run) = (doing.rate, doing.dry_run);
    carry_out(deployment, (plan, options), &because, output).await
}

/// Carries a plan out, and reports how far it got.
pub(super) async fn carry_out(
    deployment: &Deployment,
    (plan, options): (Plan, Options),
    because: &Because,
    output: Output,
) -> anyhow::Result<Exit> {
    let (bus, how) = (&deployment.bus, (&plan, &options));
    let progress = attended("redriving", output, async |progress, cancel| {
        redrive::run(bus, &SystemClock, how, because, (progress, cancel)).await
    });
    let progress = progress.await?;
    let exit = Exit::found(progress.redriven < progress.total);
    output.answer(&Answer { dry_run: options.dry_run, letters: plan.letters, progress })?;
    Ok(exit)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.letters.is_empty() {
            return f.write_str("there are no such dead letters");
        }
        let mut concerns = Columns::indented(2);
        for Preflight { letter, concerns: against, go, .. } in &self.letters {
            for concern in against {
                let style = if *go { CAREFUL } else { BAD };
                let what = if *go { "all the same" } else { "left alone" };
                concerns.row([&letter.sequence, &Styled(style, what), concern]);
            }
        }
        if !concerns.is_empty() {
            writeln!(f, "{}\n{concerns}", Styled(STRONG, "what speaks against it"))?;
        }
        done(f, &self.progress, self.dry_run)
    }
}

fn done(f: &mut fmt::Formatter<'_>, progress: &Progress, dry_run: bool) -> fmt::Result {
    let Progress { total, redriven, skipped, failed, cancelled, error, .. } = progress;
    let (style, would) = (if redriven == total { GOOD } else { CAREFUL }, if dry_run { "would be " } else { "" });
    write!(f, "{}", Styled(style, format!("{redriven} of {total} {would}redriven")))?;
    if *skipped > 0 {
        write!(f, ", {skipped} left alone")?;
    }
    if *failed > 0 {
        write!(f, ", {failed} failed: {}", Styled(BAD, error.as_deref().unwrap_or_default()))?;
    }
    if *cancelled {
        write!(f, "; stopped by you: the others are dead letters as before")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_far_it_got() {
        let progress: Progress = serde_json::from_value(serde_json::json!({
            "total": 9, "redriven": 4, "skipped": 1, "failed": 1, "error": "no answer", "finished": true, "cancelled": true
        }))
        .unwrap();
        let plan = Plan::default();
        let mut answer = Answer { dry_run: false, letters: plan.letters, progress };
        assert_eq!(answer.to_string(), "there are no such dead letters");
        let preflight = serde_json::json!({ "go": true, "concerns": [{ "concern": "gone" }], "letter": {
            "sequence": 3, "service": "a", "reaction": "b", "cause": "c", "event": "a.b", "version": 1, "event_id": null,
            "saga": null, "key": "k", "subject": "s", "event_sequence": null, "attempts": 8, "first_failed_at": null,
            "last_failed_at": null, "stored_at": "2030-01-01T00:00:00Z", "undo": false, "fate": "open" } });
        answer.letters.push(serde_json::from_value(preflight).unwrap());
        let text = anstream::adapter::strip_str(&answer.to_string()).to_string();
        assert_eq!(
            text,
            "what speaks against it\n  3  all the same  the dead letter is not there any more\n\n4 of 9 redriven, 1 left \
             alone, 1 failed: no answer; stopped by you: the others are dead letters as before"
        );
    }
}
