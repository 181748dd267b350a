//! Retention: of the streams, the inboxes, the relays, and the duplicate window.

use std::time::Duration;

use pavane_bus::{jetstream::StreamReport, topology::EVENTS};
use pavane_choreography::Declaration;

use super::{
    Evidence,
    finding::{Check, Finding},
};
use crate::words;

/// A window above this costs the server memory for nothing: some 240 bytes for each message in it.
const WINDOW_MAX: Duration = Duration::from_mins(15);

pub(super) fn check(evidence: &Evidence) -> Check {
    let mut findings = Vec::new();
    let mut seen = Vec::new();
    if let (Some(events), Some(dead)) = (&evidence.events, &evidence.dead_letters) {
        seen.push(format!("events {}, dead letters {}", age(events.max_age), age(dead.max_age)));
        for declaration in &evidence.declarations {
            findings.extend(inbox(declaration, events.max_age, dead.max_age));
            findings.extend(shorter(declaration, events, declaration.settings.events_max_age));
            findings.extend(shorter(declaration, dead, declaration.settings.dead_letters_max_age));
            findings.extend(horizon(declaration, events.max_age));
        }
        findings.extend(window(evidence, events));
    }
    let remembered = evidence.declarations.iter().map(|declaration| declaration.settings.inbox_retention);
    seen.extend(
        remembered
            .filter(|remembers| !remembers.is_zero())
            .min()
            .map(|shortest| format!("inboxes {}", words::duration(shortest))),
    );
    Check { about: "retention", seen: seen.join(", "), findings }
}

/// An inbox has to remember an event for longer than it can be delivered again.
fn inbox(declaration: &Declaration, events: Duration, dead: Duration) -> Option<Finding> {
    let (service, remembers) = (&declaration.manifest.service, declaration.settings.inbox_retention);
    if remembers.is_zero() {
        return None;
    }
    let forever = events.is_zero() || dead.is_zero();
    let longest = events.saturating_add(dead);
    (forever || remembers <= longest).then(|| {
        let kept = if forever { "for ever".to_owned() } else { format!("for {} together", words::duration(longest)) };
        Finding::fault(
            format!(
                "{service} remembers for {} what it has handled, and an event can be delivered or redriven {kept}",
                words::duration(remembers)
            ),
            "an event that comes back after that is handled a second time: its effect happens twice",
            format!(
                "raise inbox_retention of {service}, or shorten the streams: nats stream edit {EVENTS} --max-age 7d, \
                 nats stream edit DEAD_LETTERS --max-age 30d"
            ),
        )
    })
}

/// A stream that keeps messages for less time than a service wants.
fn shorter(declaration: &Declaration, stream: &StreamReport, wanted: Duration) -> Option<Finding> {
    let (name, service) = (&stream.name, &declaration.manifest.service);
    (!stream.max_age.is_zero() && stream.max_age < wanted).then(|| {
        Finding::risk(
            format!("{name} keeps messages for {}, {service} wants {}", age(stream.max_age), words::duration(wanted)),
            "a service that is away for longer misses events; a dead letter goes before somebody has decided",
            format!("nats stream edit {name} --max-age {}s", wanted.as_secs()),
        )
    })
}

fn horizon(declaration: &Declaration, events: Duration) -> Option<Finding> {
    let (service, horizon) = (&declaration.manifest.service, declaration.settings.durability_horizon);
    (!events.is_zero() && horizon >= events).then(|| {
        Finding::fault(
            format!(
                "{service} keeps what it has published for {}, the stream for {}",
                words::duration(horizon),
                age(events)
            ),
            "its relay takes expired events for lost ones, and publishes them again",
            format!("nats stream edit {EVENTS} --max-age 7d, or a shorter relay.durability_horizon in {service}"),
        )
    })
}

fn window(evidence: &Evidence, events: &StreamReport) -> Option<Finding> {
    let wanted = evidence.declarations.iter().map(|declaration| declaration.settings.duplicate_window).max();
    let (window, wanted) = (events.duplicate_window, wanted.unwrap_or_default());
    let set = format!("nats stream edit {EVENTS} --dupe-window {}s", wanted.max(Duration::from_mins(2)).as_secs());
    if window < wanted {
        return Some(Finding::remark(
            format!(
                "duplicates are recognised for {}, a service wants {}",
                words::duration(window),
                words::duration(wanted)
            ),
            "a relay that tries again later than that stores an event twice; the inboxes notice, at some cost",
            set,
        ));
    }
    (window > WINDOW_MAX).then(|| {
        Finding::remark(
            format!("duplicates are recognised for {}", words::duration(window)),
            "the server keeps every id of that time in memory and publishes more slowly; the inboxes make it superfluous",
            set,
        )
    })
}

fn age(age: Duration) -> String {
    if age.is_zero() { "for ever".to_owned() } else { words::duration(age) }
}
