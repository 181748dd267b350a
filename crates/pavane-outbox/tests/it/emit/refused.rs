//! Documents that `pavane_emit` refuses, with the reason and a hint.

use pavane_choreography::Emission;
use pavane_contract::{EventRef, SagaId, SystemClock};
use pavane_outbox::Bounds;
use serde_json::{Value, json};

use super::{DAY, document, emit, manifest, published, refusal, shelf};
use crate::shelf::everything;

/// A document that says more than [`document`], what is said about it, and what is advised.
type Refusal = (Value, &'static str, &'static str);

/// What the wiring table doesn't have.
fn undeclared() -> Vec<Refusal> {
    vec![
        (json!({ "entry": "pay" }), "there is no entry point \"pay\"", "there are: both, now, test"),
        (
            json!({ "type": "shelf.nooted" }),
            "shelf/test does not declare that it emits shelf.nooted: add .emits::<…>() to its line in the wiring table",
            "it declares: shelf.noted v1",
        ),
        (
            json!({ "entry": "now", "version": 1 }),
            "shelf/now does not declare that it emits shelf.noted v1: add .emits::<…>() to its line in the wiring table",
            "it declares: shelf.noted v2",
        ),
        (
            json!({ "entry": "now", "after": 5 }),
            "shelf/now does not declare that it emits shelf.noted: add .schedules::<…>() to its line in the wiring table",
            "it declares: shelf.noted v2",
        ),
        (
            json!({ "entry": "now", "decides": true }),
            "shelf/now does not declare that it emits shelf.noted: add .decides::<…>() to its line in the wiring table",
            "it declares: shelf.noted v2",
        ),
        (
            json!({ "entry": "both" }),
            "shelf/both emits several versions of shelf.noted",
            "say which with \"version\": 1 or 2",
        ),
        (
            json!({ "type": "order.placed" }),
            "shelf/test emits order.placed, which belongs to \"order\": a service emits only its own events",
            "let it emit an event shelf.… of its own",
        ),
    ]
}

/// What can't be emitted by anybody.
fn misshapen() -> Vec<Refusal> {
    let saga = SagaId::new(&SystemClock);
    vec![
        (
            json!({ "key": "ä".repeat(129) }),
            "the key of shelf.noted v1 has 258 bytes, over the limit of 256",
            "the key becomes a token of a NATS subject",
        ),
        (
            json!({ "key": 7 }),
            "pavane_emit: \"key\" has the type number, not string",
            "docs/from-sql.md has the fields and their types",
        ),
        (json!({ "key": null }), "pavane_emit needs the field \"key\"", "it needs entry, type, key and data"),
        (
            json!({ "data": "{}" }),
            "pavane_emit: \"data\" has the type string, not object",
            "docs/from-sql.md has the fields and their types",
        ),
        (
            json!({ "delay": 5 }),
            "pavane_emit knows no field \"delay\"",
            "known are after, caused_by, data, decides, entry, key, saga, started, traceparent, tracestate, type, version",
        ),
        (
            json!({ "after": 5, "decides": true }),
            "pavane_emit: an event that decides can't come later",
            "leave out \"after\", or let a scheduled event's reaction decide",
        ),
        (
            json!({ "saga": "f81d4fae-7dec-41d0-a765-00a0c91e6bf6" }),
            "the id f81d4fae-7dec-41d0-a765-00a0c91e6bf6 does not tell when the saga started, as it is no UUIDv7",
            "say it with \"started\": an RFC 3339 time",
        ),
        (
            json!({ "saga": saga, "started": "2026-01-02T03:04:05Z", "after": "1 year" }),
            "shelf.noted v1 can't be scheduled in 365 days: the saga is",
            "use 0s at most, or raise inbox_retention and relay.outcome_retention",
        ),
    ]
}

#[tokio::test]
async fn a_document_that_can_not_be_emitted_is_refused_with_what_is_wrong_and_what_to_do() {
    let shelf = shelf().await;
    let only_now = vec![Emission::Maybe(vec![EventRef { name: "shelf.noted".to_owned(), version: 2 }])];
    let versions =
        vec![Emission::Maybe([1, 2].map(|version| EventRef { name: "shelf.noted".to_owned(), version }).to_vec())];
    let entries = manifest(vec![("test", everything()), ("now", only_now), ("both", versions)]);
    shelf.db.declare_entries(&entries).await.unwrap();
    for (more, message, hint) in undeclared().into_iter().chain(misshapen()) {
        let (said, advised) = refusal(&shelf.db, &document("a", "x", &more)).await;
        assert!(said.starts_with(message), "{said}\n{message}");
        assert_eq!(advised, hint);
    }
    for (field, value) in [
        ("saga", json!("7")),
        ("caused_by", json!("")),
        ("after", json!(-1)),
        ("after", json!("-1 day")),
        ("after", json!("2 days ago")),
        ("version", json!(1.5)),
        ("started", json!("yesterday")),
        ("traceparent", json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nx: y")),
    ] {
        let (said, _) = refusal(&shelf.db, &document("a", "x", &json!({ field: value }))).await;
        assert_eq!(said, format!("pavane_emit: \"{field}\" can't be {value}"));
    }
    let (said, _) = refusal(&shelf.db, &json!([])).await;
    assert_eq!(said, "pavane_emit takes one JSON object");
    assert!(published(&shelf).await.is_empty());
}

#[tokio::test]
async fn a_saga_that_is_forgotten_is_not_decided_from_sql() {
    let shelf = shelf().await;
    let saga = SagaId::new(&shelf.clock);
    let decide = document("a", "decided", &json!({ "saga": saga, "decides": true }));
    shelf.pass(DAY * 46).await;
    let (said, hint) = refusal(&shelf.db, &decide).await;
    assert_eq!(said, format!("the saga {saga} started 46 days ago, and what it did is remembered for 45 days"));
    assert!(hint.contains("decide by hand"), "{hint}");
    assert_eq!(shelf.count("select count(*) from pavane_outcome").await, 0);
}

#[tokio::test]
async fn a_full_outbox_takes_nothing_in_from_sql_although_no_service_runs() {
    let shelf = shelf().await;
    let one = document("a", "one", &json!({}));
    let bounded = async |outbox_rows, outbox_age| {
        shelf.db.keep_to(Bounds { outbox_rows, outbox_age, ..Bounds::default() });
        shelf.db.declare_entries(&manifest(vec![("test", everything())])).await.unwrap();
    };
    bounded(3, DAY).await;
    for _ in 0..3 {
        emit(&shelf.db, &one).await.unwrap();
    }
    let (said, hint) = refusal(&shelf.db, &one).await;
    assert_eq!(said, "the outbox is full: 3 events or more wait to be published, the limit of outbox_rows");
    assert_eq!(hint, "nothing was done: try again when the broker is back");
    // Sequences that are far apart say nothing: rows are counted.
    shelf.run("delete from pavane_unsent where seq = (select min(seq) + 1 from pavane_unsent)").await;
    emit(&shelf.db, &one).await.unwrap();
    refusal(&shelf.db, &one).await;
    bounded(10, DAY).await;
    shelf.pass(DAY).await;
    let (said, _) = refusal(&shelf.db, &one).await;
    assert_eq!(said, "the outbox is full: an event has waited 86400s to be published; outbox_age allows 86400s");
    published(&shelf).await;
    emit(&shelf.db, &one).await.unwrap();
}
