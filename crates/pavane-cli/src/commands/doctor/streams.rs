//! The streams: whether they keep everything until every reaction has read it.

use pavane_bus::{
    jetstream::StreamReport,
    topology::{DEAD_LETTERS, DEAD_LETTERS_SUBJECTS, EVENTS, EVENTS_SUBJECTS},
};

use super::{
    Evidence,
    finding::{Check, Finding},
    server::is_full,
};
use crate::words;

pub(super) fn check(evidence: &Evidence) -> Check {
    let mut findings = Vec::new();
    let denied = !evidence.denied.is_empty();
    for (name, stream, subjects) in [
        (EVENTS, &evidence.events, &EVENTS_SUBJECTS[..]),
        (DEAD_LETTERS, &evidence.dead_letters, &DEAD_LETTERS_SUBJECTS[..]),
    ] {
        match stream {
            Some(stream) => findings.extend(stream_findings(stream, subjects)),
            None if denied => {}
            None => findings.push(Finding::fault(
                format!("there is no stream {name}"),
                "what is published there is refused, and waits in the outboxes",
                "start a service: it creates the streams; or create it as docs/operations.md says",
            )),
        }
    }
    if let (Some(events), Some(dead)) = (&evidence.events, &evidence.dead_letters)
        && events.replicas != dead.replicas
    {
        findings.push(Finding::risk(
            format!("{EVENTS} has {} replicas, {DEAD_LETTERS} has {}", events.replicas, dead.replicas),
            "a machine that is lost takes the one with it and not the other",
            "give both the same number with `nats stream edit`, as PAVANE_REPLICAS says it",
        ));
    }
    let streams = [&evidence.events, &evidence.dead_letters, &evidence.audit];
    let seen = streams.into_iter().flatten().map(|stream| {
        let StreamReport { name, messages, storage, replicas, .. } = stream;
        format!("{name} {} ({storage}, {replicas}×)", words::counted(*messages, "message"))
    });
    Check { about: "streams", seen: seen.collect::<Vec<_>>().join(", "), findings }
}

fn stream_findings(stream: &StreamReport, subjects: &[&str]) -> Vec<Finding> {
    let name = &stream.name;
    let mut findings = Vec::new();
    if stream.storage != "file" {
        findings.push(Finding::fault(
            format!("{name} is kept in {}", stream.storage),
            "a restart of the server loses every message in it, acknowledged ones too",
            "the storage of a stream can't be changed: stop the services, move the messages to a file stream of that \
             name, start the services",
        ));
    }
    if stream.retention != "limits" {
        findings.push(Finding::fault(
            format!("{name} has {} retention", stream.retention),
            "a message goes away once one consumer has it; others never see it, and nothing can be replayed or looked at",
            "move the messages to a stream with limits retention",
        ));
    }
    if stream.discard != "new" {
        findings.push(Finding::fault(
            format!("{name} drops old messages when it is full"),
            "events that a service has not read yet are lost without a word",
            format!("nats stream edit {name} --discard new"),
        ));
    }
    let missing: Vec<&str> =
        subjects.iter().copied().filter(|wanted| !stream.subjects.iter().any(|has| has == wanted)).collect();
    if !missing.is_empty() {
        findings.push(Finding::fault(
            format!("{name} does not take {}", missing.join(" and ")),
            "what is published there is refused",
            format!("nats stream edit {name} --subjects {}", subjects.join(",")),
        ));
    }
    if stream.replicas.is_multiple_of(2) {
        findings.push(Finding::risk(
            format!("{name} has {} replicas", stream.replicas),
            "an even number survives no more failures than one less, and more things that can fail",
            format!("nats stream edit {name} --replicas 3"),
        ));
    }
    if let Some(max) = stream.max_bytes.filter(|max| is_full(stream.bytes, *max)) {
        findings.push(Finding::risk(
            format!("{name} uses {} of {max} bytes", stream.bytes),
            "a full stream refuses events; they wait in the outboxes, and every saga stands still",
            format!("nats stream edit {name} --max-bytes …, or keep messages for less long"),
        ));
    }
    findings
}
