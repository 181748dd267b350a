//! Whether this user may see and do what is needed.

use super::{
    Evidence,
    finding::{Check, Finding},
};

pub(super) fn check(evidence: &Evidence) -> Check {
    let mut findings: Vec<Finding> = evidence
        .denied
        .iter()
        .map(|denied| {
            Finding::risk(
                format!("this user may not look at everything: {denied}"),
                "what is not seen is not found: the rest of this report is incomplete",
                "grant the subject to this user, or run this as an operator",
            )
        })
        .collect();
    findings.extend(evidence.silent.iter().map(|silent| {
        Finding::risk(
            silent.clone(),
            "what it would have shown is not checked",
            "check the address, and that it can be reached from here",
        )
    }));
    if !evidence.may_decide {
        findings.push(Finding::remark(
            "this user may look at dead letters, but not delete them".to_owned(),
            "`pavane dead-letters discard` fails, and perhaps `redrive` too",
            "for an operator, grant $JS.API.STREAM.MSG.DELETE.DEAD_LETTERS, $JS.API.STREAM.CREATE.AUDIT, audit.> and \
             redrive.>",
        ));
    }
    let may = if evidence.may_decide { "may look and decide" } else { "may look" };
    let seen = if evidence.denied.is_empty() { may } else { "may not look at everything" };
    Check { about: "permissions", seen: seen.to_owned(), findings }
}
