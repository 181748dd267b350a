//! What led to what, as a tree.

use std::collections::{HashMap, HashSet};

use pavane_contract::EventId;
use pavane_observe::report::TimelineEvent;

/// An event at its place in the tree of causes.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) event: &'a TimelineEvent,
    /// What is drawn before it.
    pub(super) branch: String,
    /// What is drawn before something that belongs to it, below.
    pub(super) below: String,
}

/// Puts each event below its cause, in the stream's order; an event without a known cause is at the left.
pub(super) fn of(timeline: &[TimelineEvent]) -> Vec<Node<'_>> {
    let known: HashSet<EventId> = timeline.iter().map(|event| event.id).collect();
    let mut children: HashMap<Option<EventId>, Vec<&TimelineEvent>> = HashMap::new();
    for event in timeline {
        // A cause that was stored later (another's clock can't do that, a rollback of the broker can) still is one; only
        // an event that is its own cause is none.
        let cause = event.caused_by.filter(|cause| known.contains(cause) && *cause != event.id);
        children.entry(cause).or_default().push(event);
    }
    let mut nodes = Vec::new();
    let mut pending: Vec<(&TimelineEvent, String, bool, bool)> = Vec::new();
    push(&mut pending, children.remove(&None), "", true);
    while let Some((event, above, is_root, is_last)) = pending.pop() {
        let (branch, below) = match (is_root, is_last) {
            (true, _) => (String::new(), String::new()),
            (false, true) => (format!("{above}└─ "), format!("{above}   ")),
            (false, false) => (format!("{above}├─ "), format!("{above}│  ")),
        };
        let follows = children.remove(&Some(event.id));
        let down = if follows.is_some() { "│  " } else { "   " };
        nodes.push(Node { event, branch, below: format!("{below}{down}") });
        push(&mut pending, follows, &below, false);
    }
    nodes
}

fn push<'a>(
    pending: &mut Vec<(&'a TimelineEvent, String, bool, bool)>,
    events: Option<Vec<&'a TimelineEvent>>,
    above: &str,
    is_root: bool,
) {
    let events = events.unwrap_or_default();
    let last = events.len().saturating_sub(1);
    for (at, event) in events.into_iter().enumerate().rev() {
        pending.push((event, above.to_owned(), is_root, at == last));
    }
}
