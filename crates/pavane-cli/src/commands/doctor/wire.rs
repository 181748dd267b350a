//! Findings have the names at the server, because an operator types them.

use pavane_bus::{
    JetStream,
    topology::{AUDIT, DEAD_LETTERS, DECLARATIONS, EVENTS},
};

use super::finding::Check;

const STREAMS: [&str; 4] = [EVENTS, DEAD_LETTERS, AUDIT, DECLARATIONS];
const SUBJECTS: [&str; 4] = ["events.", "redrive.", "dead.", "audit."];

/// Adds the namespace to names and subjects in all findings.
pub(super) fn rename(checks: &mut [Check], bus: &JetStream) {
    if bus.name_of(EVENTS) == EVENTS {
        return;
    }
    let renamed = |text: &mut String| *text = named(text, |stream| bus.name_of(stream), |it| bus.subject_of(it));
    for check in checks {
        for finding in &mut check.findings {
            renamed(&mut finding.what);
            renamed(&mut finding.fix);
        }
    }
}

fn named(text: &str, stream: impl Fn(&str) -> String, subject: impl Fn(&str) -> String) -> String {
    let word = |word: &str| {
        if SUBJECTS.iter().any(|begin| word.strip_prefix(begin).is_some_and(|rest| !rest.is_empty())) {
            return subject(word);
        }
        // A stream's name stands alone, or at the end of a subject of the API.
        let start = word.rfind('.').map_or(0, |dot| dot + 1);
        let (before, name) = word.split_at(start);
        if STREAMS.contains(&name) { format!("{before}{}", stream(name)) } else { word.to_owned() }
    };
    let is_apart = |c: char| c.is_whitespace() || ",;:'`".contains(c);
    text.split_inclusive(is_apart)
        .map(|part| {
            let end = part.trim_end_matches(is_apart).len();
            word(&part[..end]) + &part[end..]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_subjects_get_the_namespace_and_prose_stays() {
        for (told, expected) in [
            (
                "nats stream edit EVENTS --max-age 7d, nats stream edit DEAD_LETTERS",
                "nats stream edit shop_EVENTS --max-age 7d, nats stream edit shop_DEAD_LETTERS",
            ),
            ("shop_EVENTS does not take redrive.>", "shop_EVENTS does not take shop.redrive.>"),
            ("--subjects events.>,redrive.>", "--subjects shop.events.>,shop.redrive.>"),
            (
                "grant $JS.API.STREAM.CREATE.AUDIT, audit.> and",
                "grant $JS.API.STREAM.CREATE.shop_AUDIT, shop.audit.> and",
            ),
            ("many EVENTS2 and events. Then", "many EVENTS2 and events. Then"),
        ] {
            assert_eq!(named(told, |name| format!("shop_{name}"), |it| format!("shop.{it}")), expected);
        }
    }
}
