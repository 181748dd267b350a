//! `trace` and `stuck`: what happened, and what is awaited.

use crate::{
    command::{assert_said, pavane},
    stage::{COMPENSATED, CONFIRMED, STUCK, Stage, UNREADABLE},
};

#[tokio::test]
async fn each_saga_is_traced() {
    let stage = Stage::recorded().await;
    let url = stage.url();
    for (name, saga, code) in [
        ("confirmed", CONFIRMED, 0),
        ("compensated", COMPENSATED, 0),
        ("stuck", STUCK, 1),
        ("unreadable", UNREADABLE[2], 1),
    ] {
        let traced = pavane(&url, &["trace", saga]).await;
        assert_eq!((traced.code, traced.err.as_str()), (code, ""), "{name}");
        insta::with_settings!({ snapshot_suffix => name }, { assert_said!(traced.out) });
    }
}

#[tokio::test]
async fn a_saga_is_found_by_the_id_of_its_event() {
    let stage = Stage::open().await;
    stage.order(CONFIRMED).await;
    let url = stage.url();
    let by_key = pavane(&url, &["trace", CONFIRMED, "--json"]).await.json();
    assert_eq!(by_key[0]["summary"]["state"], "completed");
    let event = by_key[0]["timeline"][3]["id"].as_str().unwrap();
    let by_event = pavane(&url, &["trace", event, "--json"]).await.json();
    assert_eq!(by_event[0]["timeline"], by_key[0]["timeline"]);
    let unknown = pavane(&url, &["trace", "no-such-order"]).await;
    assert_eq!((unknown.code, unknown.out.as_str()), (2, ""));
    assert!(unknown.err.contains("no-such-order"), "{unknown:?}");
}

#[tokio::test]
async fn what_is_stuck_is_named_with_what_it_waits_for() {
    let stage = Stage::recorded().await;
    let url = stage.url();
    let stuck = pavane(&url, &["stuck"]).await;
    assert_eq!(stuck.code, 1);
    assert_said!(stuck.out);
    let json = pavane(&url, &["stuck", "--json"]).await.json();
    let saga = json["sagas"].as_array().unwrap().iter().find(|saga| saga["key"] == STUCK).unwrap();
    assert_eq!(saga["waits_on"], serde_json::json!(["shipping"]));
    assert_eq!(json["by_service"], serde_json::json!({ "payment": 3, "shipping": 1 }));
}

#[tokio::test]
async fn an_undo_that_failed_needs_a_decision() {
    let stage = Stage::open().await;
    stage.order(COMPENSATED).await;
    stage.settled().await;
    stage.give_up(("payment", "void-payment"), "order.cancelled", COMPENSATED, "the provider is gone").await;
    // Its answer is in the stream, so there is nothing to decide about.
    assert_eq!(pavane(&stage.url(), &["stuck"]).await.code, 0);
    let other = Stage::open().await;
    other.order_until(COMPENSATED, "order.cancelled").await;
    other.settled().await;
    other.give_up(("payment", "void-payment"), "order.cancelled", COMPENSATED, "the provider is gone").await;
    let stuck = pavane(&other.url(), &["stuck", "--json"]).await;
    assert_eq!((stuck.code, &stuck.json()["sagas"][0]["state"]), (1, &"needs-review".into()));
    let traced = pavane(&other.url(), &["trace", COMPENSATED]).await;
    assert_eq!(traced.code, 1);
    assert_said!(traced.out);
}

#[tokio::test]
async fn nothing_is_stuck_where_all_is_well() {
    let stage = Stage::open().await;
    stage.order(CONFIRMED).await;
    stage.order(COMPENSATED).await;
    stage.settled().await;
    let stuck = pavane(&stage.url(), &["stuck"]).await;
    assert_eq!((stuck.code, stuck.out.as_str()), (0, "no saga is stuck, and none needs a decision\n"));
}
