//! `pavane dead-letters show`.

use std::fmt;

use anyhow::{Context, bail};
use clap::Args;
use pavane_contract::SystemClock;
use pavane_observe::{
    LetterFilter, StoredMessage,
    audit::Because,
    dead_letter_at,
    redrive::Preflight,
    report::{DeadLetter, LetterFate},
};
use serde::Serialize;

use crate::{
    columns::Columns,
    deployment::Deployment,
    output::{Exit, Output},
    style::{BAD, CAREFUL, FAINT, GOOD, STRONG, Styled},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Its number.
    number: u64,
    #[command(flatten)]
    revealing: Revealing,
}

/// Who wants to see more, and why.
#[derive(Debug, Args)]
#[command(next_help_heading = "Personal data")]
struct Revealing {
    /// Show personal and undeclared values, too. Who looked and why is recorded in the stream AUDIT.
    #[arg(long, requires = "reason")]
    reveal: bool,
    /// Why. It is recorded.
    #[arg(long, requires = "reveal")]
    reason: Option<String>,
    /// Who looks. It is recorded.
    #[arg(long, value_name = "NAME", env = "USER")]
    by: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    looked_at: Preflight,
    message: Option<StoredMessage>,
}

pub(super) async fn run(deployment: &Deployment, arguments: &Arguments, output: Output) -> anyhow::Result<Exit> {
    let mut filter = LetterFilter::default();
    filter.sequences = vec![arguments.number];
    filter.decided = true;
    let view = deployment.view().await?;
    let mut plan = view.plan(&filter);
    plan.look_at_bodies(&deployment.bus).await?;
    let Some(looked_at) = plan.letters.pop() else { bail!("there is no dead letter {}", arguments.number) };
    let sealed = dead_letter_at(&deployment.bus, arguments.number).await.context("failed to read the dead letter")?;
    let message = match (sealed, arguments.revealing.because()?) {
        (Some(sealed), Some(because)) => Some(sealed.reveal(&deployment.bus, &SystemClock, &because).await?.0),
        (sealed, _) => sealed.map(|sealed| sealed.redacted(&view)),
    };
    output.answer(&Answer { looked_at, message })?;
    Ok(Exit::Fine)
}

impl Revealing {
    /// `None` when nothing is to be revealed.
    fn because(&self) -> anyhow::Result<Option<Because>> {
        if !self.reveal {
            return Ok(None);
        }
        let (by, reason) = (self.by.as_deref().unwrap_or_default(), self.reason.as_deref().unwrap_or_default());
        Ok(Some(Because::new(by, reason)?))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = &self.looked_at.letter;
        let DeadLetter { sequence, service, reaction, .. } = letter;
        writeln!(f, "{} {service}/{reaction}", Styled(STRONG, format!("dead letter {sequence} of")))?;
        writeln!(f, "  {}\n", Styled(BAD, &letter.cause))?;
        writeln!(f, "{}", facts(letter))?;
        writeln!(f, "{}", Styled(STRONG, "redrive"))?;
        for concern in &self.looked_at.concerns {
            let style = if concern.blocks() { BAD } else { CAREFUL };
            writeln!(f, "  {}", Styled(style, concern))?;
        }
        if self.looked_at.go {
            writeln!(f, "  {}", Styled(GOOD, "nothing speaks against it"))?;
        }
        self.message.as_ref().map_or(Ok(()), |message| stored(f, message))
    }
}

fn facts(letter: &DeadLetter) -> Columns {
    let mut facts = Columns::indented(2);
    let version = format!("{} v{}", letter.event, letter.version);
    facts.row([&"event", if letter.event.is_empty() { &letter.subject } else { &version }]);
    facts.row([&"key", &letter.key]);
    if let Some(saga) = letter.saga {
        facts.row([&"saga", &saga]);
    }
    if let Some(id) = letter.event_id {
        facts.row([&"event id", &id]);
    }
    if let Some(sequence) = letter.event_sequence {
        facts.row([&"in the stream", &sequence]);
    }
    facts.row([&"attempts", &letter.attempts]);
    if let (Some(first), Some(last)) = (letter.first_failed_at, letter.last_failed_at) {
        facts.row([&"failed", &format!("first {first}, last {last}")]);
    }
    let fate = match letter.fate {
        LetterFate::Redriven => "redriven",
        LetterFate::Discarded => "discarded",
        _ if letter.undo => "nothing; it is an undo, so the saga needs a decision",
        LetterFate::Open | _ => "nothing",
    };
    facts.row([&"decided", &fate]);
    facts
}

fn stored(f: &mut fmt::Formatter<'_>, message: &StoredMessage) -> fmt::Result {
    let mut headers = Columns::indented(2);
    for (name, value) in &message.headers {
        headers.row([name, value]);
    }
    writeln!(f, "\n{}\n{headers}", Styled(STRONG, "headers"))?;
    let body = match (&message.body, &message.text, &message.hidden) {
        (Some(body), ..) => format!("{body:#}"),
        (None, _, Some(why)) => format!("not shown, because its personal fields are not known: {why}"),
        (None, text, None) => text.clone().unwrap_or_default(),
    };
    writeln!(f, "{}", Styled(STRONG, "body"))?;
    body.lines().try_for_each(|line| writeln!(f, "  {line}"))?;
    if message.redacted {
        writeln!(f, "  {}", Styled(FAINT, "--reveal --reason … shows everything, and keeps who looked and why"))?;
    }
    Ok(())
}
