//! Items, told: each at its event, all of them in a row, and what an event means that has some.

use pavane_contract::{Cause, Clock as _, Envelope, EventId, EventRef, Item, Key, Meta, SagaId, SystemClock};
use serde_json::{Value, json};

use crate::{
    command::{assert_said, pavane},
    stage::{Recorded, Stage},
};

fn event(name: &str) -> Value {
    json!({ "name": name, "version": 1 })
}

fn reaction(name: &str, role: &Value, on: &str, emits: &Value) -> Value {
    json!({ "name": name, "role": role, "on": [event(on)], "emits": [emits], "effect": false, "gives_up_with": null })
}

/// A seat for every passenger, or none; the trip is cancelled with the first that is refused.
fn declarations() -> [(&'static str, Value); 2] {
    let reserved = "flight.seat-reserved";
    let release = json!({ "undo": { "undoes": event(reserved) } });
    let every = json!({ "join": { "of": [{ "every": event(reserved) }] } });
    let list = json!({ "each": [event("flight.seat-wanted"), event("flight.no-seats")] });
    let answer = json!({ "one-of": [event(reserved), event("flight.seat-refused")] });
    let flight = [
        reaction("split", &json!("react"), "trip.requested", &list),
        reaction("reserve-seat", &json!("each"), "flight.seat-wanted", &answer),
        reaction("release-seat", &release, "trip.cancelled", &json!({ "all": [event("flight.seat-released")] })),
        reaction("seats-ready", &every, reserved, &json!({ "all": [event("flight.booked")] })),
    ];
    let trip = [
        reaction("confirm", &json!("react"), "flight.booked", &json!({ "outcome": [event("trip.confirmed")] })),
        reaction("cancel", &json!("react"), "flight.seat-refused", &json!({ "outcome": [event("trip.cancelled")] })),
    ];
    let seconds = |secs: u32| json!({ "secs": secs, "nanos": 0 });
    let sagas = json!([{
        "name": "trip", "starts_with": event("trip.requested"), "completes_with": [event("trip.confirmed")],
        "aborts_with": [event("trip.cancelled")], "within": seconds(3600), "terminal": [], "without_undo": [],
    }]);
    let entries = json!([{ "name": "book", "emits": [{ "all": [event("trip.requested")] }], "answers": null }]);
    // What it owes is overdue at once, so that no test has to wait for that.
    let at_once = json!({
        "durable": "flight_release-seat", "stuck_after": seconds(0), "ack_wait": seconds(30), "timeout": seconds(60),
        "max_attempts": 8, "batch_max": 128,
    });
    let manifest = |service: &str, entries: &Value, reactions: &[Value]| json!({ "service": service, "entries": entries, "reactions": reactions });
    let flight = json!({
        "schema": 1, "manifest": manifest("flight", &json!([]), &flight),
        "settings": { "reactions": { "release-seat": at_once } },
    });
    let trip = json!({ "schema": 1, "manifest": manifest("trip", &entries, &trip), "sagas": sagas });
    [("flight", flight), ("trip", trip)]
}

async fn declared() -> Stage {
    let mut stage = Stage::empty().await;
    stage.declarations.clear();
    for (service, declaration) in declarations() {
        stage.declarations.insert(service.to_owned(), declaration);
        stage.declare(service).await;
    }
    stage
}

/// A trip whose events are published one by one.
struct Trip<'a> {
    stage: &'a Stage,
    saga: SagaId,
}

impl Trip<'_> {
    async fn event(&self, name: &str, number: Option<u32>, cause: Option<EventId>) -> Option<EventId> {
        let (id, event) = (EventId::new(&SystemClock), EventRef { name: name.to_owned(), version: 1 });
        let item = number.and_then(|number| Item::new(number, 4));
        let now = SystemClock.now();
        let cause = Cause { event: cause, item, ..Cause::new(self.saga, now) };
        let (key, source) = (Key::from("trip-7"), event.owner().to_owned());
        let meta = Meta { id, event, key, source, time: now, cause };
        self.stage.publish(&Recorded::of(&Envelope { meta: meta.into(), body: "{}".into() })).await;
        Some(id)
    }
}

#[tokio::test]
async fn each_item_is_told_at_its_event_and_all_of_them_in_a_row() {
    let stage = declared().await;
    let trip = Trip { stage: &stage, saga: SagaId::new(&SystemClock) };
    let requested = trip.event("trip.requested", None, None).await;
    let mut refused = None;
    for number in 1..=4 {
        let wanted = trip.event("flight.seat-wanted", Some(number), requested).await;
        if number == 2 {
            refused = trip.event("flight.seat-refused", Some(number), wanted).await;
        } else {
            trip.event("flight.seat-reserved", Some(number), wanted).await;
        }
    }
    let cancelled = trip.event("trip.cancelled", None, refused).await;
    trip.event("flight.seat-released", Some(3), cancelled).await;
    let without_id = |text: String| text.replace(&trip.saga.to_string(), "[saga]");
    let traced = pavane(&stage.url(), &["trace", "trip-7"]).await;
    assert_eq!((traced.code, traced.err.as_str()), (1, ""));
    assert_said!(without_id(traced.out));
    let stuck = pavane(&stage.url(), &["stuck"]).await;
    assert_said!(without_id(stuck.out));
    let json = pavane(&stage.url(), &["trace", "trip-7", "--json"]).await.json();
    assert_eq!(json[0]["items"][0]["items"], json!({ "undone": [3], "undoing": [1, 4], "refused": [2] }));
}

#[tokio::test]
async fn an_event_with_items_is_explained() {
    let stage = declared().await;
    for event in ["flight.seat-wanted", "flight.no-seats", "flight.seat-reserved", "flight.booked", "trip.requested"] {
        let explained = pavane(&stage.url(), &["explain", event]).await;
        assert_eq!(explained.code, 0, "{explained:?}");
        insta::with_settings!({ snapshot_suffix => event }, { assert_said!(explained.out) });
    }
}
