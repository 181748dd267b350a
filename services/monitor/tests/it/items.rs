//! Items on the pages and in the API: one row for those of a step, and named where the saga is stuck.

use pavane_bus::topology::EVENTS;
use pavane_contract::{
    Cause, Envelope, EventId, EventRef, Item, Key, Meta, SagaId, SystemClock, Timestamp, codec, subject,
};
use serde_json::{Value, json};

use crate::{
    exported::{Recorded, Recording},
    webdriver::Browser,
};

fn event(name: &str) -> Value {
    json!({ "name": name, "version": 1 })
}

fn reaction(name: &str, role: &Value, on: &str, emits: &Value) -> Value {
    json!({ "name": name, "role": role, "on": [event(on)], "emits": [emits], "effect": false, "gives_up_with": null })
}

/// A seat for every passenger, or none.
fn flight() -> Recorded {
    let [wanted, reserved] = ["flight.seat-wanted", "flight.seat-reserved"];
    let release = json!({ "undo": { "undoes": event(reserved) } });
    let every = json!({ "join": { "of": [{ "every": event(reserved) }] } });
    let list = json!({ "each": [event(wanted), event("flight.no-seats")] });
    let answer = json!({ "one-of": [event(reserved), event("flight.seat-refused")] });
    let reactions = [
        reaction("split", &json!("react"), "trip.requested", &list),
        reaction("reserve-seat", &json!("each"), wanted, &answer),
        reaction("release-seat", &release, "trip.cancelled", &json!({ "all": [event("flight.seat-released")] })),
        reaction("seats-ready", &every, reserved, &json!({ "all": [event("flight.booked")] })),
    ];
    let fields: Vec<_> = [wanted, reserved]
        .map(|name| json!({ "name": name, "version": 1, "personal": ["/passenger"], "open": [] }))
        .into();
    let manifest = json!({ "service": "flight", "entries": [], "reactions": reactions, "events": fields });
    Recorded {
        stream: "KV_PAVANE_MANIFESTS".to_owned(),
        subject: "$KV.PAVANE_MANIFESTS.flight".to_owned(),
        headers: Vec::new(),
        payload: json!({ "schema": 1, "manifest": manifest }).to_string(),
    }
}

/// A trip of long ago: five seats were wanted, one was refused and one was never heard of.
fn trip() -> Vec<Recorded> {
    let saga = SagaId::new(&SystemClock);
    let recorded = |name: &str, number: Option<u32>, cause: Option<EventId>| {
        let (id, event) = (EventId::new(&SystemClock), EventRef { name: name.to_owned(), version: 1 });
        let item = number.and_then(|number| Item::new(number, 5));
        let cause = Cause { event: cause, item, ..Cause::new(saga, Timestamp::UNIX_EPOCH) };
        let (key, source) = (Key::from("trip-7"), event.owner().to_owned());
        let meta = Meta { id, event, key, source, time: Timestamp::UNIX_EPOCH, cause };
        let body = json!({ "passenger": "Thoinot Arbeau" }).to_string();
        let event = Envelope { meta: meta.into(), body };
        let headers = codec::encode(&event).iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let subject = subject::of(&event.meta.event, &event.meta.key);
        (id, Recorded { stream: EVENTS.to_owned(), subject, headers, payload: event.body })
    };
    let (requested, first) = recorded("trip.requested", None, None);
    let mut events = vec![first];
    for number in 1..=5 {
        let (wanted, event) = recorded("flight.seat-wanted", Some(number), Some(requested));
        events.push(event);
        let answer = match number {
            2 => Some("flight.seat-refused"),
            4 => None,
            _ => Some("flight.seat-reserved"),
        };
        events.extend(answer.map(|answer| recorded(answer, Some(number), Some(wanted)).1));
    }
    events
}

async fn replayed() -> Recording {
    Recording::replayed([flight()].into_iter().chain(trip())).await
}

async fn json_of(recording: &Recording, path: &str) -> Value {
    serde_json::from_str(&recording.get(path).await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_items_of_a_step_are_one_row_with_a_count() {
    let recording = replayed().await;
    let report = &json_of(&recording, "/api/sagas/trip-7").await["report"];
    let items = json!([{
        "service": "flight", "reaction": "reserve-seat", "of": 5,
        "items": { "done": [1, 3, 5], "refused": [2], "waiting": [4] }, "sentence": "3 of 5 done, 1 refused, 1 awaited",
    }]);
    assert_eq!(report["items"], items);
    let effects = report["effects"].as_array().unwrap();
    assert_eq!((effects.len(), &effects[0]["fate"]), (1, &json!("armed")), "{effects:?}");
    assert_eq!(report["timeline"][1]["item"], json!({ "number": 1, "of": 5 }));
    assert!(report["timeline"][0].get("item").is_none(), "{report}");
    let wait = &report["outstanding"][0];
    assert_eq!(wait["items"], json!({ "numbers": [4], "of": 5 }));
    assert!(wait["sentence"].as_str().unwrap().contains("of item 4 of 5 from flight"), "{wait}");
    let description = json_of(&recording, "/openapi.json").await;
    let schemas = &description["components"]["schemas"];
    assert_eq!(schemas["ItemStep"]["properties"]["items"]["additionalProperties"]["type"], "array", "{schemas}");
    assert!(schemas["Items"].is_object() && schemas["ItemState"].is_object() && schemas["Item"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_graph_says_what_is_for_each_item_and_for_every_one() {
    let recording = replayed().await;
    let graph = json_of(&recording, "/api/choreography").await;
    let named = |key: &str, flag: &str| {
        let flagged = graph[key].as_array().unwrap().iter().filter(|it| it[flag] == true);
        let name = |it: &Value| it["id"].as_str().map_or_else(|| format!("{} {}", it["from"], it["to"]), str::to_owned);
        flagged.map(name).collect::<Vec<_>>().join(", ").replace('"', "")
    };
    assert_eq!(named("nodes", "each"), "flight/reserve-seat, flight/release-seat");
    assert_eq!(named("links", "items"), "flight/split flight.seat-wanted, flight.seat-reserved flight/seats-ready");
    let flow = json_of(&recording, "/api/flow").await;
    let each = flow["reactions"].as_array().unwrap().iter().filter(|reaction| reaction["each"] == true);
    assert_eq!(each.count(), 2, "{flow}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_test_case_has_the_items() {
    let recording = replayed().await;
    let export = recording.get("/api/sagas/trip-7/test-case?service=flight").await;
    for number in 1..=5 {
        assert!(export.contains(&format!(r#"("ce-item", "{number}"), ("ce-itemcount", "5")"#)), "{export}");
    }
    assert!(export.contains(r#""flight.seat-reserved", "flight.seat-wanted""#), "what it said: {export}");
    assert!(!export.contains("Thoinot"), "{export}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_looks_at_items() {
    let (recording, browser) = tokio::join!(replayed(), Browser::start());
    browser.open(&recording.url("/sagas/trip-7").await).await;
    browser.until_says(".item-steps", "3 of 5 done, 1 refused").await;
    browser.until_says(".waiting .sentence", "of item 4 of 5 from flight").await;
    // The request, the list, those that were reserved, and the one that was refused.
    browser.until("document.querySelectorAll('.timeline > li').length === 4").await;
    browser.until_says(".timeline > li:nth-child(2) .chip", "5 of 5 items").await;
    let told = "document.querySelector('svg.sequence').textContent.includes('flight.seat-reserved (3 of 5 items)')";
    browser.until(told).await;
    browser.click(".timeline > li:nth-child(3) button.event").await;
    browser.until_says(".timeline .items li:nth-child(3) .chip", "item 5 of 5").await;
    browser.click(".timeline .items li:nth-child(3) button.event").await;
    browser.until_says(".timeline .items .message pre", "(personal)").await;

    browser.open(&recording.url("/choreography").await).await;
    browser.until("document.querySelector('.graph')?.cy?.nodes('.each').length === 2").await;
    let words = "return document.querySelector('.graph').cy.edges('[word]').map((edge) => edge.data('word')).sort()";
    assert_eq!(browser.evaluate(words).await, json!(["each", "every"]));
    for on in ["each flight.seat-wanted", "every flight.seat-reserved"] {
        browser.until_says("table.list", on).await;
    }
    assert_eq!(browser.errors().await, [""; 0], "the console complains");
}
