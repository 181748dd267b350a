//! A saga in words.

use std::fmt;

use pavane_observe::{
    SagaReport, State,
    report::{Action, DeadLetter, EventRole, Fate, LetterFate, TimelineEvent},
};

use super::{Answer, tree};
use crate::{
    columns::Columns,
    style::{BAD, CAREFUL, FAINT, GOOD, STRONG, Styled, state},
    words,
};

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, saga) in self.sagas.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            headline(f, saga)?;
            writeln!(f, "\n{}", timeline(saga))?;
            section(f, "steps", &steps(saga))?;
            section(f, "items", &items(saga))?;
            section(f, "decisions", &decisions(saga))?;
            section(f, "not as declared", &deviations(saga))?;
        }
        Ok(())
    }
}

fn headline(f: &mut fmt::Formatter<'_>, saga: &SagaReport) -> fmt::Result {
    let summary = &saga.summary;
    let name = summary.name.as_deref().unwrap_or("an undeclared saga");
    let (key, age) = (Styled(STRONG, &summary.key), words::millis(summary.age_ms));
    let ended = matches!(summary.state, State::Completed | State::Compensated | State::Resolved);
    let took = if ended { "after" } else { "for" };
    writeln!(f, "{name} {key}: {} {took} {age}", state(summary.state))?;
    write!(f, "{}", Styled(FAINT, format!("saga {}, started {}", summary.saga, summary.started_at)))?;
    if let Some(within) = saga.within_ms {
        write!(f, "{}", Styled(FAINT, format!(", to end within {}", words::millis(within))))?;
    }
    writeln!(f)?;
    // A wait for a reaction is shown at its event.
    for wait in saga.outstanding.iter().filter(|wait| wait.service.is_empty()) {
        writeln!(f, "{}", Styled(BAD, &wait.sentence))?;
    }
    if saga.events_dropped > 0 {
        writeln!(f, "{} more events are not shown", saga.events_dropped)?;
    }
    Ok(())
}

/// The tree of causes: event, emitter, time, duration; below each event, what is awaited on it and which reaction gave up.
fn timeline(saga: &SagaReport) -> Columns {
    let mut lines = Columns::default();
    for node in tree::of(&saga.timeline) {
        let event = node.event;
        let style = match event.role {
            EventRole::Completes => GOOD,
            EventRole::Aborts => CAREFUL,
            EventRole::Start | EventRole::Step | EventRole::Undo | EventRole::Other | _ => STRONG,
        };
        let what = format!("{}{}", Styled(FAINT, &node.branch), Styled(style, &event.event));
        let at = words::between(saga.summary.started_at, event.stored_at);
        let took = event.took_ms.map(|took| format!("took {}", words::millis(took))).unwrap_or_default();
        let by = event.emitted_by.as_ref().unwrap_or(&event.source);
        lines.row([&what, by, &format!("+{}", words::millis(at.unsigned_abs())), &took, &notes(event)]);
        for line in below(saga, event) {
            lines.free(format!("{}{line}", Styled(FAINT, &node.below)));
        }
    }
    lines
}

fn notes(event: &TimelineEvent) -> String {
    let item = event.item.map(|item| format!("item {} of {}", item.number, item.of));
    let role = match event.role {
        EventRole::Step => Some("step".to_owned()),
        EventRole::Undo => Some("undo".to_owned()),
        EventRole::Completes => Some("it succeeded".to_owned()),
        EventRole::Aborts => Some("it failed".to_owned()),
        EventRole::Start | EventRole::Other | _ => None,
    };
    let copies = (event.copies > 0).then(|| format!("stored again {}×", event.copies));
    let redriven = (!event.redriven_to.is_empty()).then(|| format!("redriven to {}", event.redriven_to.join(", ")));
    item.into_iter().chain(role).chain(copies).chain(redriven).collect::<Vec<_>>().join(", ")
}

fn below(saga: &SagaReport, event: &TimelineEvent) -> Vec<String> {
    let letters = saga.dead_letters.iter().filter(|letter| letter.event_id == Some(event.id)).map(gave_up);
    let waits = saga.outstanding.iter().filter(|wait| wait.on_id == Some(event.id) && !wait.service.is_empty());
    let waits = waits.map(|wait| {
        let style = if wait.overdue { BAD } else { CAREFUL };
        format!("⧗ {}", Styled(style, &wait.sentence))
    });
    let asks = saga.questions.iter().filter(|question| question.event_id == event.id);
    let asks = asks.map(|question| format!("⧗ {}", Styled(CAREFUL, &question.sentence)));
    letters.chain(waits).chain(asks).collect()
}

fn gave_up(letter: &DeadLetter) -> String {
    let DeadLetter { service, reaction, attempts, cause, sequence, .. } = letter;
    let fate = match letter.fate {
        LetterFate::Redriven => ", redriven",
        LetterFate::Discarded => ", discarded",
        LetterFate::Open | _ => "",
    };
    let attempts = words::counted(*attempts, "attempt");
    let what = format!("{service}/{reaction} gave up after {attempts} (dead letter {sequence}{fate}): {cause}");
    format!("✗ {}", Styled(if letter.fate == LetterFate::Open { BAD } else { FAINT }, what))
}

fn steps(saga: &SagaReport) -> Columns {
    let mut steps = Columns::indented(2);
    for effect in &saga.effects {
        let fate = match effect.fate {
            Fate::Armed => Styled(FAINT, format!("stands; {} would undo it", effect.undo)),
            Fate::Kept => Styled(GOOD, "stands for good".to_owned()),
            Fate::Undoing => Styled(CAREFUL, format!("{} is about to undo it", effect.undo)),
            Fate::Undone => Styled(GOOD, format!("undone by {}", effect.undo)),
            Fate::Presumed => Styled(GOOD, format!("{} has been handled; it emits nothing", effect.undo)),
            Fate::Failed | _ => Styled(BAD, format!("{} failed: somebody has to decide", effect.undo)),
        };
        let external = if effect.external { "with an effect outside" } else { "" };
        steps.row([&format!("{}/{}", effect.service, effect.step), &effect.done, &fate, &external]);
    }
    steps
}

fn items(saga: &SagaReport) -> Columns {
    let mut items = Columns::indented(2);
    for step in &saga.items {
        items.row([&format!("{}/{}", step.service, step.reaction), &step.sentence]);
    }
    items
}

fn decisions(saga: &SagaReport) -> Columns {
    let mut decisions = Columns::indented(2);
    for decision in &saga.decisions {
        let letter = decision.dead_letter.map(|letter| format!(" dead letter {letter}"));
        let event = decision.event_sequence.map(|event| format!(" event {event}"));
        let letter = letter.or(event).unwrap_or_default();
        let action = match decision.action {
            Action::Redrive => "redrove",
            Action::Discard => "discarded",
            Action::Reveal => "looked at personal data of",
            Action::Resolve | _ => "resolved it",
        };
        let done = format!("{} {action}{letter}: {}", decision.by, decision.reason);
        decisions.row([&decision.at, &done]);
    }
    decisions
}

fn deviations(saga: &SagaReport) -> Columns {
    let mut deviations = Columns::indented(2);
    for deviation in &saga.deviations {
        deviations.row([&format!("#{}", deviation.sequence), &Styled(CAREFUL, &deviation.what)]);
    }
    deviations
}

fn section(f: &mut fmt::Formatter<'_>, title: &str, lines: &Columns) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "{}\n{lines}", Styled(STRONG, title))
}
