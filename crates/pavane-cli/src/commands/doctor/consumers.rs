//! The consumers: each declared reaction has one, it is configured as it must be, a client attends it; and there are no others.

use pavane_bus::jetstream::{ConsumerReport, StreamReport};
use pavane_choreography::{Declaration, ReactionSettings};

use super::{
    Evidence,
    evidence::is_attended,
    finding::{Check, Finding},
};
use crate::words;

pub(super) fn check(evidence: &Evidence) -> Check {
    let about = "consumers";
    let Some(consumers) = &evidence.consumers else {
        return Check { about, seen: "not seen".to_owned(), findings: Vec::new() };
    };
    let mut findings = Vec::new();
    let declared = evidence.reactions().count();
    for declaration in &evidence.declarations {
        for (reaction, settings) in &declaration.settings.reactions {
            let name = format!("{}/{reaction}", declaration.manifest.service);
            match evidence.consumer(&settings.durable) {
                Some(consumer) => {
                    findings.extend(as_it_must_be(&name, consumer, settings));
                    findings.extend(evidence.events.as_ref().and_then(|events| expired(&name, consumer, events)));
                }
                None => findings.push(missing(&name, &settings.durable)),
            }
        }
    }
    findings.extend(unattended(evidence));
    if declared > 0 {
        let ours = |consumer: &&ConsumerReport| evidence.reactions().any(|(.., durable)| durable == consumer.name);
        let foreign = consumers.iter().filter(|consumer| !ours(consumer));
        findings.extend(foreign.map(|consumer| stranger(evidence, consumer)));
    }
    let existing = words::counted(consumers.len() as u64, "consumer");
    let seen = format!("{existing} for {}", words::counted(declared as u64, "declared reaction"));
    Check { about, seen, findings }
}

fn missing(name: &str, durable: &str) -> Finding {
    Finding::fault(
        format!("{name} is declared, and its consumer {durable} does not exist"),
        "nobody handles its events; what the streams no longer have when it comes is missed for good",
        "start the service, and see in its log that it may create the consumer; if it declares the reaction no more, \
         start its new version",
    )
}

/// A consumer that belongs to no declared reaction. A renamed reaction leaves its old one.
fn stranger(evidence: &Evidence, consumer: &ConsumerReport) -> Finding {
    let ConsumerReport { name, filters, pending, .. } = consumer;
    let remove = format!("when that is so, and nobody needs it: nats consumer rm EVENTS {name}");
    // A consumer's redrive filter says whose it is; any reaction may run on an event.
    let events = |filters: &[String]| -> Vec<String> {
        filters.iter().filter(|filter| filter.starts_with("events.")).cloned().collect()
    };
    let owner = evidence.declarations.iter().find(|declaration| {
        name.strip_prefix(declaration.manifest.service.as_str()).is_some_and(|rest| rest.starts_with('_'))
    });
    let Some(owner) = owner else {
        return Finding::risk(
            format!("the durable consumer {name} belongs to no service with a declaration"),
            "unattended, it is a cost without a use; attended, its use is not known",
            remove,
        );
    };
    let same = owner.settings.reactions.iter().find(|(_, settings)| {
        let other = evidence.consumer(&settings.durable);
        other.is_some_and(|other| !events(filters).is_empty() && events(&other.filters) == events(filters))
    });
    let service = &owner.manifest.service;
    match same {
        Some((reaction, _)) => Finding::risk(
            format!(
                "the durable consumer {name} listens to the same events as {service}/{reaction}: was the reaction renamed?"
            ),
            "a renamed reaction is a new one: it handles every event again that the stream still has, and its effects \
             happen again; the old consumer waits for nobody",
            format!("give the reaction its old name back, or see that it is idempotent; {remove}"),
        ),
        None => Finding::risk(
            format!(
                "the durable consumer {name} belongs to {service}, which declares no such reaction ({pending} events pending)"
            ),
            "a removed reaction leaves it behind, and a renamed one too: under its new name it handles every event again",
            remove,
        ),
    }
}

/// The settings that the framework relies on.
fn as_it_must_be(name: &str, consumer: &ConsumerReport, settings: &ReactionSettings) -> Vec<Finding> {
    let durable = &consumer.name;
    let mut findings = Vec::new();
    if consumer.ack_policy != "explicit" {
        findings.push(Finding::fault(
            format!("the consumer of {name} has the ack policy {}", consumer.ack_policy),
            "an event counts as handled before it is: a crash loses it",
            format!("it can't be changed: stop the service, nats consumer rm EVENTS {durable}, start the service"),
        ));
    }
    if consumer.deliver_policy != "all" {
        findings.push(Finding::fault(
            format!("the consumer of {name} delivers {}, not all", consumer.deliver_policy),
            "events that were there before it are never handled",
            format!("it can't be changed: stop the service, nats consumer rm EVENTS {durable}, start the service"),
        ));
    }
    if let Some(max) = consumer.max_deliver {
        findings.push(Finding::fault(
            format!("the consumer of {name} delivers an event {max} times at most"),
            "after that the event is gone without a dead letter; its saga waits for ever",
            format!("nats consumer edit EVENTS {durable} --max-deliver=-1; attempts are counted by the service"),
        ));
    }
    if consumer.ack_wait != settings.ack_wait {
        let (is, wanted) = (words::duration(consumer.ack_wait), words::duration(settings.ack_wait));
        findings.push(Finding::risk(
            format!("the consumer of {name} waits {is} for a heartbeat, the service believes {wanted}"),
            "where it waits less, an event is delivered again while it is being handled",
            format!("nats consumer edit EVENTS {durable} --wait {}s", settings.ack_wait.as_secs()),
        ));
    }
    if consumer.paused {
        findings.push(Finding::risk(
            format!("the consumer of {name} is paused"),
            "its sagas stand still until somebody resumes it",
            format!("nats consumer resume EVENTS {durable}"),
        ));
    }
    if consumer.redelivered > 0 {
        findings.push(Finding::remark(
            format!("{} events that {name} has in hand were delivered more than once", consumer.redelivered),
            "a handler fails and is tried again, or is slower than the ack wait; after its last attempt there is a dead letter",
            "look at the service's log for the cause",
        ));
    }
    findings
}

/// Events that expired unread. An attended consumer was moved past them: its service reports them.
fn expired(name: &str, consumer: &ConsumerReport, events: &StreamReport) -> Option<Finding> {
    if is_attended(consumer) {
        return None;
    }
    let read_to = if consumer.in_flight == 0 { consumer.delivered.sequence } else { consumer.settled.sequence };
    let lost = events.first_sequence.saturating_sub(1).saturating_sub(read_to);
    (lost > 0).then(|| {
        Finding::fault(
            format!("up to {} expired before {name} read them", words::counted(lost, "event")),
            "they are lost for it: steps that never run, undos that are never made; each day that nobody takes events, more expire",
            format!(
                "start its service, which says how many on /readyz; raise the age until it runs: nats stream edit {} --max-age 30d; \
                 pavane stuck names the sagas that wait",
                events.name
            ),
        )
    })
}

/// Declared consumers that no client attends, by service: a service that is down attends none of its own.
fn unattended(evidence: &Evidence) -> Vec<Finding> {
    let of = |declaration: &Declaration| {
        let reactions = declaration.settings.reactions.values();
        let consumers: Vec<_> = reactions.filter_map(|settings| evidence.consumer(&settings.durable)).collect();
        let idle: Vec<_> = consumers.iter().filter(|consumer| !is_attended(consumer) && !consumer.paused).collect();
        let pending: u64 = idle.iter().map(|consumer| consumer.pending).sum();
        let service = &declaration.manifest.service;
        let names: Vec<_> = idle.iter().map(|consumer| consumer.name.as_str()).collect();
        let who = if idle.len() == consumers.len() { service.clone() } else { names.join(", ") };
        (!idle.is_empty()).then(|| {
            Finding::fault(
                format!("nobody takes events for {who} ({pending} pending)"),
                "its sagas wait, and count as stuck after the reaction's stuck_after",
                format!("start {service}; if it runs, see in its log why it does not consume"),
            )
        })
    };
    evidence.declarations.iter().filter_map(of).collect()
}
