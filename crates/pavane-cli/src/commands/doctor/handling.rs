//! How long handlers take, against how long the broker waits for them.

use std::time::Duration;

use pavane_choreography::{Declaration, ReactionSettings};

use super::{
    Evidence,
    finding::{Check, Finding},
};
use crate::words;

/// Fewer answers than this say nothing about the slowest of a hundred.
const ENOUGH: usize = 20;

pub(super) fn check(evidence: &Evidence) -> Check {
    let mut findings = Vec::new();
    let mut slowest: Option<(String, Duration)> = None;
    for declaration in &evidence.declarations {
        for (reaction, settings) in &declaration.settings.reactions {
            let name = format!("{}/{reaction}", declaration.manifest.service);
            let p99 = known(evidence, declaration, reaction);
            findings.extend(prefetch(evidence, &name, settings, p99));
            match p99 {
                Some(P99::Handler(p99)) => findings.extend(slow(&name, settings, p99)),
                Some(P99::Answer(p99)) => findings.extend(late(&name, settings, p99)),
                None => {}
            }
            let took = p99.map(|(P99::Handler(took) | P99::Answer(took))| took);
            if let Some(took) = took.filter(|took| slowest.as_ref().is_none_or(|(_, slow)| took > slow)) {
                slowest = Some((name, took));
            }
        }
    }
    let seen = match slowest {
        Some((name, took)) => format!("slowest {name}: 99 of 100 within {}", words::duration(took)),
        None => "not enough answers to tell".to_owned(),
    };
    Check { about: "handling", seen, findings }
}

/// The slowest of a hundred.
#[derive(Debug, Clone, Copy)]
enum P99 {
    /// Of the handler itself.
    Handler(Duration),
    /// From the event's storing to its answer's: waiting in line included.
    Answer(Duration),
}

fn known(evidence: &Evidence, declaration: &Declaration, reaction: &str) -> Option<P99> {
    let key = (declaration.manifest.service.clone(), reaction.to_owned());
    if let Some(time) = evidence.handlers.as_ref().and_then(|handlers| handlers.get(&key)) {
        return Some(P99::Handler(*time));
    }
    let (p99, answers) = evidence.tail.p99(declaration, reaction)?;
    (answers >= ENOUGH).then(|| P99::Answer(Duration::from_millis(p99)))
}

/// A handler that is slower than the ack wait depends on its heartbeats.
fn slow(name: &str, settings: &ReactionSettings, p99: Duration) -> Option<Finding> {
    (p99 >= settings.ack_wait).then(|| {
        Finding::risk(
            format!(
                "99 of 100 runs of {name} take up to {}, and the broker waits {} for a heartbeat",
                words::duration(p99),
                words::duration(settings.ack_wait)
            ),
            "one missed heartbeat, and the event is delivered to another instance while it is being handled",
            "make the handler faster, or raise its ack_wait above that",
        )
    })
}

fn late(name: &str, settings: &ReactionSettings, p99: Duration) -> Option<Finding> {
    (p99 >= settings.stuck_after).then(|| {
        Finding::risk(
            format!(
                "99 of 100 answers of {name} came within {}, waiting in line included, and its stuck_after is {}",
                words::duration(p99),
                words::duration(settings.stuck_after)
            ),
            "its sagas are reported stuck though they only wait in line; past the ack wait, a slow handler is given its \
             event twice",
            "run more instances of the service, make the handler faster, or raise its stuck_after",
        )
    })
}

/// Whatever a client holds must be handled within the ack wait; our consumers take only what they have room for.
fn prefetch(evidence: &Evidence, name: &str, settings: &ReactionSettings, p99: Option<P99>) -> Option<Finding> {
    let consumer = evidence.consumer(&settings.durable)?;
    let Some(max) = consumer.max_ack_pending else {
        return Some(Finding::risk(
            format!("the consumer of {name} may have any number of events in hand"),
            "a client that takes more than it can handle within the ack wait is given them again and again",
            format!("nats consumer edit EVENTS {} --max-pending 1000", settings.durable),
        ));
    };
    let batch = u64::try_from(settings.batch_max).unwrap_or(u64::MAX);
    if max < batch {
        return Some(Finding::remark(
            format!("{name} handles up to {batch} events at once, and its consumer lets it have {max} in hand"),
            "it is slower than it could be",
            format!("nats consumer edit EVENTS {} --max-pending {}", settings.durable, batch.saturating_mul(8)),
        ));
    }
    let Some(P99::Handler(p99)) = p99 else { return None };
    let all = p99.saturating_mul(u32::try_from(max).unwrap_or(u32::MAX));
    (all > consumer.ack_wait && consumer.redelivered > 0).then(|| {
        Finding::risk(
            format!(
                "{} events of {name} were delivered again; up to {max} in hand at {} each take {}, the ack wait is {}",
                consumer.redelivered,
                words::duration(p99),
                words::duration(all),
                words::duration(consumer.ack_wait)
            ),
            "a client that takes more than it has room for works through events that others already have again",
            "let the client take only what it has room for, or lower max_ack_pending",
        )
    })
}
