//! Questions: somebody asks, somebody can answer, and the wait for the answer ends.

use pavane_contract::EventRef;

use super::{Finding, Rule, Subject};
use crate::{Question, graph::Actor};

pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let of = |(actor, question)| {
        [unasked(actor, question), expires(actor, question), ends_nothing(subject, actor, question)]
    };
    subject.graph.questions().flat_map(of).flatten().collect()
}

/// Whether a service answers is known where its own transactions emit the question.
fn unasked(entry: Actor<'_>, Question { asks, .. }: &Question) -> Option<Finding> {
    if let Some((who, method)) = entry.manifest.asked_wrongly(asks) {
        let mend =
            format!("let {}/{who} name another event in .{method}, and a reaction to that one ask", entry.service());
        return Some(Finding::new(Rule::Unanswerable, mend).at(entry).event(asks));
    }
    let is_asked = entry.manifest.emitted().any(|event| event == asks);
    let mend = format!("let {} emit {}, or let the service that does have the entry point", entry.service(), asks.name);
    (!is_asked).then(|| Finding::new(Rule::Unanswerable, mend).at(entry).event(asks))
}

fn expires(entry: Actor<'_>, Question { asks, expires_with }: &Question) -> Option<Finding> {
    let Some(expires) = expires_with else {
        let mend = "name the scheduled event that ends the wait for the answer: expires_with";
        return Some(Finding::new(Rule::NeverExpires, mend).at(entry).event(asks));
    };
    let is_scheduled = entry.manifest.scheduled().any(|event| event == expires);
    let mend = format!(
        "let {} schedule {} where it emits {}: an answer comes too late without it",
        entry.service(),
        expires.name,
        asks.name
    );
    (!is_scheduled).then(|| Finding::new(Rule::Unanswerable, mend).at(entry).event(expires))
}

/// What ends the wait must end the saga, by whatever follows from it.
fn ends_nothing(
    subject: &Subject<'_>,
    entry: Actor<'_>,
    Question { asks, expires_with }: &Question,
) -> Option<Finding> {
    let expires = expires_with.as_ref()?;
    let ours = subject.sagas.iter().filter(|saga| !subject.graph.way_from_start(saga, asks).is_empty());
    let ends = |saga: &crate::Saga| saga.ends().cloned().collect::<Vec<EventRef>>();
    let saga = ours.into_iter().find(|saga| !subject.graph.leads_to(expires, &ends(saga)))?;
    let end = saga.aborts_with.first().map_or("an end of the saga", |event| event.name.as_str());
    let mend = format!("let a reaction that leads to {end} consume {}, or to what the answer leads to", expires.name);
    Some(Finding::new(Rule::ExpiryUnused, mend).saga(saga).at(entry).event(expires))
}
