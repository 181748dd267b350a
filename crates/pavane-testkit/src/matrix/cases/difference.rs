//! What is told of two contents that should be one.

use super::Contents;

/// What there is besides a dead letter of a reaction, or that there is none.
pub(super) fn other_than_dead(reaction: &str, before: &Contents, found: Contents) -> Option<String> {
    let letter = format!("dead letter of {reaction}: ");
    let (dead, rest): (Contents, Contents) = found.into_iter().partition(|line| line.starts_with(&letter));
    difference(before, &rest).or_else(|| dead.is_empty().then(|| "- a dead letter".to_owned()))
}

/// What is expected and isn't there, and what is there and isn't expected.
pub(super) fn difference(expected: &Contents, found: &Contents) -> Option<String> {
    let mut lines = Vec::new();
    let (mut wanted, mut had) = (expected.iter().peekable(), found.iter().peekable());
    loop {
        match (wanted.peek(), had.peek()) {
            (Some(want), Some(have)) if want == have => {
                wanted.next();
                had.next();
            }
            (Some(want), have) if have.is_none_or(|have| want < have) => {
                lines.push(format!("- {want}"));
                wanted.next();
            }
            (_, Some(have)) => {
                lines.push(format!("+ {have}"));
                had.next();
            }
            (_, None) => break,
        }
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Garbage never reaches a service's code, so no service in a test can do harm with it.
    #[test]
    fn a_dead_letter_is_to_be_all_that_comes_of_what_is_no_event() {
        const DEAD: &str = "dead letter of note: failed to decode the event";
        let cases: [(&[&str], Option<&str>); 5] = [
            (&[DEAD, "row of notes: '6'"], None),
            (&["row of notes: '6'"], Some("- a dead letter")),
            (&[DEAD], Some("- row of notes: '6'")),
            (&[DEAD, "row of notes: '6'", "row of notes: '7'"], Some("+ row of notes: '7'")),
            (
                &["dead letter of notes: it is another", "row of notes: '6'"],
                Some("+ dead letter of notes: it is another"),
            ),
        ];
        for (found, difference) in cases {
            let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Contents>();
            let told = other_than_dead("note", &lines(&["row of notes: '6'"]), lines(found));
            assert_eq!(told.as_deref(), difference, "{found:?}");
        }
    }
}
