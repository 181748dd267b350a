//! The services: which have a declaration, and which don't.

use std::collections::BTreeSet;

use pavane_bus::topology::DECLARATIONS;

use super::{
    Evidence,
    finding::{Check, Finding},
};

pub(super) fn check(evidence: &Evidence) -> Check {
    let names: BTreeSet<&str> =
        evidence.declarations.iter().map(|declaration| declaration.manifest.service.as_str()).collect();
    let mut findings = Vec::new();
    if names.is_empty() && !evidence.denied.is_empty() {
        return Check { about: "services", seen: "not seen".to_owned(), findings };
    }
    if names.is_empty() {
        findings.push(Finding::fault(
            format!("no service has a declaration: the bucket {DECLARATIONS} is empty"),
            "nobody can tell what a saga waits for, and half of this report can't be made",
            "start the services; they need to publish to $KV.PAVANE_MANIFESTS.<service>, and the first to create the stream",
        ));
    } else {
        let strangers = evidence.tail.delays.keys().filter(|source| !names.contains(source.as_str()));
        findings.extend(strangers.map(|stranger| {
            Finding::risk(
                format!("{stranger} emits events, and has no declaration"),
                "what follows from its events is not checked, and waits for it are not known",
                format!(
                    "start {stranger} with a version that declares itself, or put its declaration into {DECLARATIONS}"
                ),
            )
        }));
    }
    let versions: BTreeSet<&str> = evidence
        .declarations
        .iter()
        .map(|declaration| declaration.settings.pavane.as_str())
        .filter(|version| !version.is_empty())
        .collect();
    if versions.len() > 1 {
        findings.push(Finding::remark(
            format!(
                "the services are built with pavane {}",
                versions.iter().copied().collect::<Vec<_>>().join(" and ")
            ),
            "what one version writes, another has to read; that is checked from one version to the next only",
            "bring the services to the same version when you can",
        ));
    }
    Check { about: "services", seen: names.into_iter().collect::<Vec<_>>().join(", "), findings }
}
