//! Strangers on the bus: those who speak properly are understood, and those who don't stop nothing.

use async_nats::HeaderMap;
use demo::{
    customer::{self},
    scenario::Scenario,
};
use serde_json::{Value, json};

use crate::house::{House, On, audit, count, messages, stocked, until};

/// Places an order that waits for its slow payment, and returns its id and its saga.
async fn waiting_order(house: &House, stranger: &async_nats::jetstream::Context) -> (String, String) {
    let order = json!({
        "email": "someone@example.com", "currency": "EUR", "card": "pm_card_slow",
        "lines": [{ "sku": "book", "quantity": 1, "unit_price_minor": 1999 }],
        "ship_to": { "name": "A", "street": "B", "city": "C", "postal_code": "D", "country": "FR" },
    });
    let response = house.shop.http().post(house.shop.url("order", "/orders")).json(&order).send().await.unwrap();
    let view: Value = response.json().await.unwrap();
    let id = view["id"].as_str().unwrap().to_owned();
    let saga = until("the order to be placed", || async {
        let said = messages(stranger, "EVENTS").await;
        let placed = said.iter().find(|message| message.subject.as_str() == format!("events.order.placed.{id}"))?;
        Some(placed.headers.get("ce-correlationid")?.as_str().to_owned())
    })
    .await;
    (id, saga)
}

async fn status(house: &House, id: &str) -> Value {
    let url = house.shop.url("order", &format!("/orders/{id}"));
    house.shop.http().get(url).send().await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_from_a_plain_client_is_handled_like_our_own() {
    let house = House::start(On::Sqlite).await;
    stocked(&house.shop, 10).await;
    let stranger = house.stranger().await;
    let (id, saga) = waiting_order(&house, &stranger).await;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("Ce-Specversion", "1.0"),
        ("Ce-Id", &uuid::Uuid::from_u128(7).to_string()),
        ("Ce-Type", "order.deadline-passed"),
        ("Ce-Source", "/another/language"),
        ("Ce-Subject", &id),
        ("Ce-Time", "2026-11-22T05:00:00Z"),
        ("Ce-Eventversion", "1"),
        ("Ce-Correlationid", &saga),
    ] {
        headers.insert(name, value);
    }
    let subject = format!("events.order.deadline-passed.{id}");
    let body = json!({ "order_id": id, "a_field_of_a_later_version": true }).to_string();
    stranger.publish_with_headers(subject, headers, body.into()).await.unwrap().await.unwrap();
    let view = until("the order to be cancelled", || async {
        let view = status(&house, &id).await;
        (view["status"] == "cancelled").then_some(view)
    })
    .await;
    assert_eq!(view["cancel_reason"], "deadline-passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_in_structured_mode_is_handled_too() {
    let house = House::start(On::Sqlite).await;
    stocked(&house.shop, 10).await;
    let stranger = house.stranger().await;
    let (id, saga) = waiting_order(&house, &stranger).await;
    let mut headers = HeaderMap::new();
    headers.insert("Content-Type", "application/cloudevents+json");
    let event = json!({
        "specversion": "1.0", "id": uuid::Uuid::from_u128(8), "type": "order.deadline-passed", "source": "elsewhere",
        "subject": id, "time": "2026-11-22T05:00:00Z", "eventversion": 1, "correlationid": saga, "data": { "order_id": id },
    });
    let subject = format!("events.order.deadline-passed.{id}");
    stranger.publish_with_headers(subject, headers, event.to_string().into()).await.unwrap().await.unwrap();
    until("the order to be cancelled", || async { (status(&house, &id).await["status"] == "cancelled").then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_every_subject_is_kept_and_stops_nothing() {
    let house = House::start(On::Sqlite).await;
    let before = stocked(&house.shop, 10).await;
    let stranger = house.stranger().await;
    let listeners: Vec<(String, usize)> = subjects();
    for (subject, _) in &listeners {
        stranger.publish(format!("{subject}.garbage"), "\u{0}not an event".into()).await.unwrap().await.unwrap();
    }
    let expected: usize = listeners.iter().map(|(_, reactions)| reactions).sum();
    until("all garbage to be kept", || async {
        (count(&stranger, "DEAD_LETTERS").await == expected as u64).then_some(())
    })
    .await;
    let dead = messages(&stranger, "DEAD_LETTERS").await;
    assert!(dead.iter().all(|dead| dead.payload.as_ref() == b"\0not an event"));
    assert!(
        dead.iter().all(|dead| dead
            .headers
            .get("pavane-dead-cause")
            .unwrap()
            .as_str()
            .contains("ce-specversion is missing"))
    );
    let orders =
        customer::place_all(&house.shop, vec![Scenario::Confirmed, Scenario::NoCarrier], 2, || {}).await.unwrap();
    audit(&house.shop, &before, &orders).await;
}

/// Every subject that somebody listens to, and how many reactions do.
fn subjects() -> Vec<(String, usize)> {
    let mut subjects = std::collections::BTreeMap::new();
    for manifest in crate::invariants::manifests() {
        for event in manifest.reactions.iter().flat_map(|reaction| &reaction.on) {
            *subjects.entry(format!("events.{}", event.name)).or_insert(0) += 1;
        }
    }
    subjects.into_iter().collect()
}
