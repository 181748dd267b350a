//! On a real nats-server, as a process would run it.

use std::time::Duration;

use contracts::payment::PaymentDeclined;
use order::Settings;
use pavane::{Config, SagaId};
use pavane_bus::{Bus as _, JetStream, jetstream};
use pavane_testkit::{
    FreshDatabase, Served, envelope, outgoing,
    servers::{Nats, Process, ProcessOptions, Tools},
    until,
};
use reqwest::Client;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::world::fine;

async fn run(nats: &Nats, database: &FreshDatabase) -> Served {
    let config = Config::new(nats.url()).database(database.url());
    Served::start(|listener, shutdown| order::run(config, Settings::default(), listener, Box::pin(shutdown))).await
}

async fn get(url: String) -> Option<Value> {
    Client::new().get(url).send().await.ok()?.json().await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_cancelled_over_a_real_server_across_a_restart_of_the_service() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    for database in FreshDatabase::of_each_kind().await {
        let mut first = run(&nats, &database).await;
        let placed = until("the service to take orders", async || {
            let request = Client::new().post(first.url("/orders")).body(fine().to_string());
            request.send().await.ok()?.json::<Value>().await.ok()
        })
        .await;
        let id = placed["id"].as_str().unwrap().parse::<contracts::OrderId>().unwrap();
        first.stop().await;

        // Said while the order service is down.
        let bus = JetStream::connect(jetstream::Config::new(nats.url(), "payment")).await.unwrap();
        let declined = PaymentDeclined { order_id: id };
        let declined = outgoing(&envelope(SagaId::from(id.as_uuid()), &declined));
        bus.publish(vec![declined.clone()]).await.remove(0).unwrap();
        bus.publish(vec![declined]).await.remove(0).unwrap();

        let mut second = run(&nats, &database).await;
        let order = until("the order to be cancelled", async || {
            let order = get(second.url(&format!("/orders/{id}"))).await?;
            (order["status"] == "cancelled").then_some(order)
        })
        .await;
        assert_eq!((&order["cancel_reason"], &order["version"]), (&"payment-declined".into(), &3.into()));
        assert_eq!(get(second.url("/readyz")).await.unwrap()["ready"], true);
        tokio::time::timeout(Duration::from_secs(30), second.stop()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_can_not_start_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config::new("nats://127.0.0.1:1").database("sqlite::memory:");
    let error = order::run(config, Settings::default(), listener, Box::pin(std::future::pending())).await.unwrap_err();
    let line = format!("{error:#}");
    assert!(line.starts_with("failed to start the service: ") && line.contains("127.0.0.1:1"), "{line}");
}

async fn place(url: &str) -> Value {
    let request = Client::new().post(format!("{url}/orders")).header("Idempotency-Key", "one");
    request.body(fine().to_string()).send().await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_survives_the_death_of_the_process_that_took_it() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    for database in FreshDatabase::of_each_kind().await {
        let environment = [("NATS_URL", nats.url()), ("DATABASE_URL", database.url().to_owned())];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let options = ProcessOptions { environment, ..ProcessOptions::default() };
        let mut process = Process::start("order", options).await.unwrap();
        let placed = place(&process.url()).await;
        process.kill().await.unwrap();
        process.restart().await.unwrap();

        assert_eq!(place(&process.url()).await, placed);
        let order = format!("{}/orders/{}", process.url(), placed["id"].as_str().unwrap());
        assert_eq!(get(order.clone()).await.unwrap(), placed);
        let cancelled = Client::new().post(format!("{order}/cancel")).send().await.unwrap();
        assert_eq!(cancelled.status(), 202);
        process.terminate().await.unwrap();
    }
}
