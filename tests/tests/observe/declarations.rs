//! Whose word counts: a service speaks for itself, and for its own events only.

use pavane_bus::{Message, jetstream::Stored};
use pavane_contract::{EventRef, Timestamp, codec::Headers};
use pavane_observe::{Limits, View, declaration};
use serde_json::json;

/// What `writer` left at the broker: a declaration of `service`, which shows every body of the event.
fn left(writer: &str, service: &str, event: &str) -> Stored {
    let declared = json!({ "schema": 1, "manifest": {
        "service": service, "entries": [], "reactions": [],
        "events": [{ "name": event, "version": 1, "personal": [], "open": ["/**"] }],
    } });
    let subject = format!("$KV.PAVANE_MANIFESTS.{writer}");
    let message = Message { subject, headers: Headers::default(), payload: declared.to_string().into() };
    Stored::new(1, Timestamp::UNIX_EPOCH, message)
}

#[test]
fn nobody_declares_the_fields_of_anothers_events() {
    let event = EventRef { name: "order.placed".to_owned(), version: 1 };
    for (writer, service, name, shows) in [
        ("order", "order", "order.placed", true),
        ("thief", "order", "order.placed", false),
        ("thief", "thief", "order.placed", false),
        ("order", "order", "order.changed", false),
    ] {
        let mut view = View::new(Limits::default());
        view.apply(declaration(&left(writer, service, name)));
        assert_eq!(view.fields(&event).is_some(), shows, "{writer} says of {service} that {name} may be shown");
    }
}
