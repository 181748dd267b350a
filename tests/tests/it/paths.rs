//! Every path of the shop, and what happens when everything is said again.

use async_nats::jetstream::message::PublishMessage;
use demo::{
    scenario::{self, Scenario},
    shop::{Options, Running},
};
use pavane_testkit::servers::{Nats, Tools};

use crate::house::{House, On, audit, count, messages, order_and_audit, stocked};

async fn every_path_ends_as_it_must(on: On) {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let running = Running::start(Options::new(nats.url(), on.server().await)).await.unwrap();
    let orders = order_and_audit(running.shop(), scenario::draw(40, 7)).await;
    assert!(Scenario::WEIGHTS.iter().all(|(scenario, _)| orders.iter().any(|order| order.scenario == *scenario)));
    let stranger = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    assert_eq!(count(&stranger, "DEAD_LETTERS").await, 0, "nothing here deserves a dead letter");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_ends_as_it_must_on_sqlite() {
    every_path_ends_as_it_must(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_ends_as_it_must_on_postgresql() {
    every_path_ends_as_it_must(On::Postgres).await;
}

async fn saying_everything_again_changes_nothing(on: On) {
    let house = House::start(on).await;
    let before = stocked(&house.shop, 10).await;
    let scenarios = vec![Scenario::Confirmed, Scenario::CaptureFails, Scenario::NoCarrier];
    let orders = demo::customer::place_all(&house.shop, scenarios, 3, || {}).await.unwrap();
    audit(&house.shop, &before, &orders).await;
    let stranger = house.stranger().await;
    let said = messages(&stranger, "EVENTS").await;
    for round in 0..2 {
        for (number, message) in said.iter().enumerate() {
            // Another message id: the broker's duplicate window must not be what saves us.
            let mut headers = message.headers.clone();
            headers.insert("Nats-Msg-Id", format!("again-{round}-{number}"));
            let again = PublishMessage::build().headers(headers).payload(message.payload.clone());
            stranger.send_publish(message.subject.clone(), again).await.unwrap().await.unwrap();
        }
    }
    // An order placed now goes through the same consumers, behind all of these.
    let last = demo::customer::place_all(&house.shop, vec![Scenario::Confirmed], 1, || {}).await.unwrap();
    let all: Vec<_> = orders.into_iter().chain(last).collect();
    audit(&house.shop, &before, &all).await;
    let first_of_each: std::collections::BTreeSet<_> = messages(&stranger, "EVENTS")
        .await
        .iter()
        .map(|message| message.headers.get("ce-id").unwrap().as_str().to_owned())
        .collect();
    let new = messages(&stranger, "EVENTS").await.len() - 3 * said.len();
    assert_eq!(first_of_each.len(), said.len() + new, "nothing was emitted a second time");
    assert_eq!(count(&stranger, "DEAD_LETTERS").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn saying_everything_again_changes_nothing_on_sqlite() {
    saying_everything_again_changes_nothing(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn saying_everything_again_changes_nothing_on_postgresql() {
    saying_everything_again_changes_nothing(On::Postgres).await;
}
