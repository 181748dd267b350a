//! The server: its version, its durability, and its room.

use super::{
    Evidence,
    finding::{Check, Finding},
    outside::Sync,
};
use crate::words;

/// Above this share of its limit, a store counts as full.
const FULL_PERCENT: u64 = 80;

pub(super) fn check(evidence: &Evidence) -> Check {
    let mut findings = Vec::new();
    findings.extend(durability(evidence));
    let mut seen = Vec::new();
    if let Some(server) = &evidence.server {
        // An older one than 2.10.8 is refused when connecting.
        seen.push(format!("{} ({})", server.version, server.name));
        if let Some(max) = server.storage_max.filter(|max| is_full(server.storage, *max)) {
            findings.push(Finding::risk(
                format!("the account uses {} of {max} bytes", server.storage),
                "a full store refuses events; they wait in the outboxes, and every saga stands still",
                "give the account more storage, or keep events for less long",
            ));
        }
    }
    seen.extend(evidence.sync.map(|sync| match sync {
        Sync::Always => "syncs before it acknowledges".to_owned(),
        Sync::Every(interval) => format!("syncs every {}", words::duration(interval)),
    }));
    Check { about: "server", seen: seen.join(", "), findings }
}

/// Whether what the server acknowledged survives a crash of its machine.
fn durability(evidence: &Evidence) -> Option<Finding> {
    let replicas = evidence.events.as_ref()?.replicas;
    let horizons = evidence.declarations.iter().map(|declaration| declaration.settings.durability_horizon);
    let horizon = horizons.filter(|horizon| !horizon.is_zero()).min();
    match evidence.sync {
        Some(Sync::Every(interval)) if horizon.is_some_and(|horizon| horizon <= interval) => Some(Finding::fault(
            format!(
                "the server syncs every {}, and a service keeps what it has published for {} only",
                words::duration(interval),
                words::duration(horizon.unwrap_or_default())
            ),
            "an event that a crash of the server takes is not there any more to be published again: it is lost",
            "set sync_interval: always at the server, or a longer relay.durability_horizon in the services",
        )),
        Some(Sync::Every(interval)) if replicas == 1 => Some(Finding::risk(
            format!(
                "the streams have one replica, and the server syncs to its disk every {}",
                words::duration(interval)
            ),
            "when its machine crashes, what it acknowledged since then is lost; the relays publish events again, but \
             handled marks of dead letters and decisions are not repeated",
            "set sync_interval: always, or run three servers and PAVANE_REPLICAS=3",
        )),
        None if replicas == 1 => Some(Finding::remark(
            "the streams have one replica, and whether the server syncs before it acknowledges can't be seen from here"
                .to_owned(),
            "with the default of two minutes, a crash of its machine loses what it acknowledged since then",
            "tell this command the server's monitoring address with --monitoring; set sync_interval: always, or run \
             three servers and PAVANE_REPLICAS=3",
        )),
        _ => None,
    }
}

/// Whether a store has used up its room.
pub(super) const fn is_full(used: u64, max: u64) -> bool {
    max > 0 && used / FULL_PERCENT >= max / 100
}
