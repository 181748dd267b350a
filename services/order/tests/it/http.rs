//! Requests and answers.

use contracts::order::OrderPlaced;
use pavane_outbox::Bounds;
use pavane_testkit::{FreshDatabase, until};
use serde_json::json;

use crate::world::{Answer, World, facts, fine};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_placed_can_be_seen() {
    let world = World::start().await;
    let placed = world.post("/orders", fine().to_string()).await;
    assert_eq!((placed.status, placed.content_type.as_str()), (201, "application/json"), "{placed:?}");
    let id = placed.id();
    assert_eq!(id.as_uuid().get_version_num(), 7);
    assert_eq!(placed.location, format!("/orders/{id}"));

    let order = world.order(id).await;
    assert_eq!(order, placed.body);
    assert_eq!(order["status"], "payment-pending");
    assert_eq!(order["status_text"], "Processing your payment");
    assert_eq!(order["version"], 1);
    assert_eq!(order["total"], json!({ "minor": 900, "currency": "EUR" }));
    assert_eq!(order["lines"], json!([{ "sku": "TEA-1", "quantity": 2, "unit_price_minor": 450 }]));
    assert_eq!(facts(&order), ["order.placed"]);
    assert_eq!(order.get("cancel_reason"), None);
    for secret in ["ada@example.com", "pm_card_visa", "Rosenweg"] {
        assert!(!placed.text.contains(secret), "{secret}");
    }

    world.order.settle().await;
    let said = world.said(id);
    assert_eq!(said.len(), 1);
    let event = said[0].decode::<OrderPlaced>().unwrap();
    assert_eq!(event.meta.cause.saga.as_uuid(), id.as_uuid());
    assert_eq!((event.card.as_str(), event.total.minor), ("pm_card_visa", 900));
    assert_eq!(event.details.ship_to.street, "Rosenweg 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_in_the_events() {
    let world = World::start().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (sent, expected) in [(parent, Some(parent)), ("00-nonsense", None)] {
        let request = world.client.post(format!("{}/orders", world.url)).header("traceparent", sent);
        let placed = Answer::of(request.body(fine().to_string()).send().await.unwrap()).await;
        world.order.settle().await;
        let said = world.said(placed.id());
        assert_eq!(said[0].meta.cause.trace.as_ref().map(|trace| trace.parent.as_str()), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_accepted_is_a_problem_that_names_its_fields() {
    let world = World::start().await;
    let with = |pointer: &str, value: serde_json::Value| {
        let mut body = fine();
        *body.pointer_mut(pointer).unwrap() = value;
        body.to_string()
    };
    for (body, status, fields) in [
        (String::new(), 400, &[][..]),
        ("{".to_owned(), 400, &[]),
        ("\u{1}".to_owned(), 400, &[]),
        ("7".to_owned(), 422, &["body"]),
        ("[]".to_owned(), 422, &["body"]),
        ("{}".to_owned(), 422, &["email", "currency", "lines", "ship_to", "card"]),
        (with("/lines", json!([])), 422, &["lines"]),
        (with("/lines/0/quantity", json!(0)), 422, &["lines[0].quantity"]),
        (with("/lines/0/quantity", json!("two")), 422, &["lines[0].quantity"]),
        (with("/lines/0/quantity", json!(1.5)), 422, &["lines[0].quantity"]),
        (with("/lines/0/unit_price_minor", json!(-1)), 422, &["lines[0].unit_price_minor"]),
        (with("/ship_to", json!({})), 422, &["ship_to.name", "ship_to.street", "ship_to.city"]),
        (with("/email", json!("nobody")), 422, &["email"]),
    ] {
        let answer = world.post("/orders", body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        let named = answer.fields();
        assert!(fields.iter().all(|field| named.contains(field)), "{body}: {named:?}");
    }
    let too_long = world.post("/orders", with("/card", "x".repeat(65 * 1024).into())).await;
    assert_eq!((too_long.status, too_long.fields().len()), (413, 0), "{too_long:?}");
    assert_eq!(world.order.count("select count(*) from orders").await, 0);
    assert_eq!(world.order.bus().messages("EVENTS").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_can_not_be_read_is_a_problem_too() {
    let world = World::start().await;
    let nobody = "0192e4a0-7b1a-7c3e-9d5f-000000000000";
    for (method, path, status, fields) in [
        ("GET", format!("/orders/{nobody}"), 404, &[][..]),
        ("GET", format!("/orders/{nobody}/events"), 404, &[]),
        ("POST", format!("/orders/{nobody}/cancel"), 404, &[]),
        // A UUID that does not tell its age.
        ("POST", "/orders/e3e70682-c209-4cac-a29f-6fbed82c07cd/cancel".to_owned(), 404, &[]),
        ("GET", "/orders/12".to_owned(), 400, &["id"]),
        ("GET", "/orders/12/events".to_owned(), 400, &["id"]),
        ("POST", "/orders/12/cancel".to_owned(), 400, &["id"]),
        ("GET", "/orders?status=lost".to_owned(), 400, &["status"]),
        ("GET", "/orders?limit=0".to_owned(), 400, &["limit"]),
        ("GET", "/orders?limit=201".to_owned(), 400, &["limit"]),
        ("GET", "/orders?limit=all".to_owned(), 400, &["limit"]),
        ("GET", "/orders/%ff".to_owned(), 400, &["id"]),
        ("GET", "/orders?limit=1&limit=2".to_owned(), 400, &["query"]),
        ("GET", "/orders?after=1".to_owned(), 400, &["after"]),
        ("GET", "/nothing".to_owned(), 404, &[]),
        ("DELETE", "/orders".to_owned(), 405, &[]),
    ] {
        let request = world.client.request(method.parse().unwrap(), format!("{}{path}", world.url));
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!((answer.status, answer.fields().as_slice()), (status, fields), "{method} {path}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_listed_page_by_page_the_newest_first() {
    for database in FreshDatabase::of_each_kind().await {
        let world = World::start_on(database).await;
        let mut placed = Vec::new();
        for _ in 0..5 {
            placed.push(world.place().await.to_string());
        }
        // Ids of one millisecond are in no particular order.
        placed.sort();
        placed.reverse();
        let cancelled = placed[1].clone();
        world.cancel(cancelled.parse().unwrap()).await;

        let (mut seen, mut path) = (Vec::new(), "/orders?limit=2".to_owned());
        let mut pages = 0;
        loop {
            let page = world.get(&path).await.body;
            seen.extend(
                page["orders"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap().to_owned()),
            );
            pages += 1;
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/orders?limit=2&after={next}");
        }
        assert_eq!((&seen, pages), (&placed, 3));

        let page = world.get("/orders?status=cancelled").await.body;
        assert_eq!(page["orders"].as_array().unwrap().len(), 1);
        assert_eq!(page["orders"][0]["id"], cancelled.as_str());
        assert_eq!(page["orders"][0]["cancel_reason"], "customer-request");
        assert_eq!(world.get("/orders?status=payment-pending").await.body["orders"].as_array().unwrap().len(), 4);
        assert_eq!(world.get("/orders?status=confirmed").await.body, json!({ "orders": [] }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_and_clients_can_look_at_the_service() {
    let world = World::start().await;
    world.place().await;
    assert_eq!(world.get("/healthz").await.text, "ok");
    assert_eq!(world.get("/readyz").await.body, json!({ "ready": true, "missing": [], "warnings": [] }));
    assert_eq!(world.get("/metrics").await.status, 200);
    let description = world.get("/openapi.json").await.body;
    let paths: Vec<_> = description["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/orders", "/orders/{id}", "/orders/{id}/cancel", "/orders/{id}/events"]);
    let required = description["components"]["schemas"]["PlaceOrder"]["required"].to_string();
    assert_eq!(required, r#"["email","lines","currency","ship_to","card"]"#);
}

/// While NATS is away, the database must not fill up.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_outbox_is_full_orders_are_refused_with_a_time_to_come_back() {
    let world = World::start().await;
    world.order.bus().disconnect();
    world.place().await;
    world.db.keep_to(Bounds { outbox_rows: 1, ..Bounds::default() });
    world.db.measure_outbox().await.unwrap();
    let order = world.client.post(format!("{}/orders", world.url)).body(fine().to_string());
    let refused = order.send().await.unwrap();
    assert_eq!(refused.status(), 503);
    let seconds: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(seconds > 0);
    let refused = Answer::of(refused).await;
    assert_eq!(refused.content_type, "application/problem+json", "{refused:?}");
    let ready = world.get("/readyz").await;
    assert!(ready.status == 503 && ready.text.contains("the outbox is full"), "{ready:?}");
    world.order.bus().reconnect();
    until("orders are taken again", async || {
        (world.post("/orders", fine().to_string()).await.status == 201).then_some(())
    })
    .await;
}
