//! Servers and services die in the middle, and the books balance all the same.

use std::time::Duration;

use demo::{
    customer,
    scenario::{self, Scenario},
};
use serde_json::{Value, json};

use crate::house::{House, On, audit, messages, stocked, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_nats_server_is_killed_in_the_middle_and_comes_back() {
    let mut house = House::start(On::Sqlite).await;
    let before = stocked(&house.shop, 40).await;
    let shop = house.shop.clone();
    let customers = tokio::spawn(async move { customer::place_all(&shop, scenario::draw(40, 11), 16, || {}).await });
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        house.nats.kill().await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        house.nats.restart().await.unwrap();
    }
    let orders = customers.await.unwrap().unwrap();
    audit(&house.shop, &before, &orders).await;
}

async fn services_are_stopped_or_killed_in_the_middle_and_come_back(on: On) {
    let mut house = House::start(on).await;
    let before = stocked(&house.shop, 40).await;
    let shop = house.shop.clone();
    let customers = tokio::spawn(async move { customer::place_all(&shop, scenario::draw(40, 13), 16, || {}).await });
    // Not the order service: its customers would notice. It has a test of its own below.
    for service in ["payment", "inventory", "shipping", "notification"] {
        house.process(service).kill().await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        house.process(service).restart().await.unwrap();
        house.process(service).terminate().await.unwrap();
        house.process(service).restart().await.unwrap();
    }
    let orders = customers.await.unwrap().unwrap();
    audit(&house.shop, &before, &orders).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_stopped_or_killed_in_the_middle_and_come_back_on_sqlite() {
    services_are_stopped_or_killed_in_the_middle_and_come_back(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_stopped_or_killed_in_the_middle_and_come_back_on_postgresql() {
    services_are_stopped_or_killed_in_the_middle_and_come_back(On::Postgres).await;
}

async fn an_order_committed_just_before_a_crash_still_goes_out_once(on: On) {
    let mut house = House::start(on).await;
    let before = stocked(&house.shop, 10).await;
    // Without a broker nothing can be published, so the process is killed between commit and publish for certain.
    house.nats.kill().await.unwrap();
    let order = json!({
        "email": "someone@example.com", "currency": "EUR", "card": "pm_card_visa",
        "lines": [{ "sku": "book", "quantity": 1, "unit_price_minor": 1999 }],
        "ship_to": { "name": "A", "street": "B", "city": "C", "postal_code": "D", "country": "FR" },
    });
    let response = house.shop.http().post(house.shop.url("order", "/orders")).json(&order).send().await.unwrap();
    assert_eq!(response.status(), 201, "an order can be placed while the broker is away");
    let view: Value = response.json().await.unwrap();
    let id = view["id"].as_str().unwrap().to_owned();
    house.process("order").kill().await.unwrap();
    house.nats.restart().await.unwrap();
    house.process("order").restart().await.unwrap();
    let url = house.shop.url("order", &format!("/orders/{id}"));
    until("the order to be confirmed", || async {
        let view: Value = house.shop.http().get(&url).send().await.ok()?.json().await.ok()?;
        (view["status"] == "confirmed").then_some(())
    })
    .await;
    let stranger = house.stranger().await;
    let said = messages(&stranger, "EVENTS").await;
    let placed = said.iter().filter(|message| message.subject.as_str() == format!("events.order.placed.{id}"));
    assert_eq!(placed.count(), 1);
    let books = demo::audit::Books::read(&house.shop).await.unwrap();
    assert_eq!(books.provider_captured - before.provider_captured, 1999);
    // The shop goes on as if nothing had been.
    let orders = customer::place_all(&house.shop, vec![Scenario::Confirmed], 1, || {}).await.unwrap();
    assert!(orders.iter().all(customer::Settled::is_as_expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_committed_just_before_a_crash_still_goes_out_once_on_sqlite() {
    an_order_committed_just_before_a_crash_still_goes_out_once(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_committed_just_before_a_crash_still_goes_out_once_on_postgresql() {
    an_order_committed_just_before_a_crash_still_goes_out_once(On::Postgres).await;
}
