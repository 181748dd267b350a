//! An event in words.

use std::fmt;

use super::{Answer, Emitter, Explanation, Reacts, Undo};
use crate::{
    columns::Columns,
    style::{FAINT, STRONG, Styled},
};

/// Of a reaction that runs once for each item, or undoes a step that does.
const EACH: &str = "for each item";

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, event) in self.events.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            explanation(f, event)?;
        }
        Ok(())
    }
}

fn explanation(f: &mut fmt::Formatter<'_>, explained: &Explanation) -> fmt::Result {
    let Explanation { event, version, owner, .. } = explained;
    writeln!(f, "{} {}", Styled(STRONG, event), Styled(FAINT, format!("version {version}, of {owner}")))?;
    for role in &explained.roles {
        writeln!(f, "  {role}")?;
    }
    let or_nobody = |columns: Columns| if columns.is_empty() { "  nobody\n".to_owned() } else { columns.to_string() };
    write!(f, "\n{}\n{}", Styled(STRONG, "who emits it"), or_nobody(emitters(&explained.emitted_by)))?;
    write!(
        f,
        "\n{}\n{}",
        Styled(STRONG, "who reacts, and what comes next"),
        or_nobody(reactions(&explained.reactions))
    )?;
    writeln!(f, "\n{}", Styled(STRONG, "what undoes it"))?;
    if explained.undone_by.is_empty() {
        writeln!(f, "  nothing: it needs no undo")?;
    }
    for undo in &explained.undone_by {
        undone(f, undo)?;
    }
    Ok(())
}

fn emitters(emitters: &[Emitter]) -> Columns {
    let mut lines = Columns::indented(2);
    for Emitter { service, name, entry, on, each, join, how } in emitters {
        let between = if *join { " and " } else { " or " };
        let when = if *entry { "from outside".to_owned() } else { format!("on {}", on.join(between)) };
        let how = [each.then_some(EACH), Some(how.as_str())].into_iter().flatten().filter(|it| !it.is_empty());
        let how = how.collect::<Vec<_>>().join(", ");
        lines.row([&format!("{service}/{name}"), &when, &Styled(FAINT, how)]);
    }
    lines
}

fn reactions(reactions: &[Reacts]) -> Columns {
    let mut lines = Columns::indented(2);
    for Reacts { service, reaction, undoes, effect, each, every, with, then, gives_up_with } in reactions {
        let undoes = undoes.as_ref().map(|event| format!("undoes {event}"));
        let effect = effect.then(|| "an effect outside".to_owned());
        let with = (!with.is_empty()).then(|| format!("with {}", with.join(" and ")));
        let items =
            each.then(|| EACH.to_owned()).or_else(|| every.then(|| "once it has come for every item".to_owned()));
        let does = items.into_iter().chain(with).chain(undoes).chain(effect).collect::<Vec<_>>().join(", ");
        lines.row([&format!("{service}/{reaction}"), &next(then), &does]);
        if let Some(event) = gives_up_with {
            lines.row([&"", &format!("─▶ {event}"), &"when it gives up"]);
        }
    }
    lines
}

fn undone(f: &mut fmt::Formatter<'_>, undo: &Undo) -> fmt::Result {
    let Undo { service, reaction, step, when, then, effect, each } = undo;
    let outside = if *effect { ", with an effect outside" } else { "" };
    let items = if *each { format!(", {EACH}") } else { String::new() };
    writeln!(f, "  {service}/{reaction} undoes what {service}/{step} did{items}{outside}")?;
    let mut lines = Columns::indented(4);
    for trigger in when {
        let failed = trigger.fails.iter().map(|saga| format!("because the saga {saga} has failed with it"));
        lines.row([&format!("on {}", trigger.event), &next(then), &failed.collect::<Vec<_>>().join(", ")]);
    }
    write!(f, "{lines}")
}

fn next(then: &[String]) -> String {
    if then.is_empty() { "emits nothing".to_owned() } else { format!("─▶ {}", then.join(", ")) }
}
