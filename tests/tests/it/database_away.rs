//! The database is stopped, and each service tells its clients so, in the same way.

use futures_util::future::join_all;
use pavane_testkit::servers::{Nats, Postgres, Tools};
use serde_json::{Value, json};

use crate::house::{House, until};

const NOWHERE: &str = "00000000-0000-7000-8000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn while_postgresql_is_away_every_service_answers_503_and_when_to_ask_again() {
    let tools = Tools::from_env();
    let (nats, mut postgres) = tokio::try_join!(Nats::start(&tools), Postgres::start(&tools)).unwrap();
    let server = postgres.create_database("shop").await.unwrap();
    let house = House::start_at(nats, Some(server), |_| Vec::new()).await;
    let (shop, http) = (&house.shop, house.shop.http());
    let order = json!({
        "email": "someone@example.com", "currency": "EUR", "card": "pm_card_visa",
        "lines": [{ "sku": "book", "quantity": 1, "unit_price_minor": 1999 }],
        "ship_to": { "name": "A", "street": "B", "city": "C", "postal_code": "D", "country": "FR" },
    });
    let requests = || {
        let read = |service: &'static str, path: &str| http.get(shop.url(service, path));
        vec![
            http.post(shop.url("order", "/orders")).json(&order),
            read("order", "/orders"),
            read("order", &format!("/orders/{NOWHERE}")),
            http.post(shop.url("order", &format!("/orders/{NOWHERE}/cancel"))),
            http.put(shop.url("inventory", "/stock/book")).json(&json!({ "on_hand": 10 })),
            read("inventory", "/stock"),
            read("inventory", "/stock/book"),
            read("payment", "/payments/summary"),
            read("payment", &format!("/payments/{NOWHERE}")),
            read("shipping", "/shipments"),
            read("shipping", &format!("/shipments/{NOWHERE}")),
            read("notification", &format!("/notifications/{NOWHERE}")),
        ]
    };
    let answers =
        async || join_all(requests().into_iter().map(|request| async { request.send().await.unwrap() })).await;
    for answer in answers().await {
        assert!(!answer.status().is_server_error(), "{} {}", answer.url(), answer.status());
    }
    postgres.stop().await.unwrap();
    // Twice: connections that were open when it stopped, and those that can't be opened any more.
    for _ in 0..2 {
        for answer in answers().await {
            let (url, status) = (answer.url().clone(), answer.status());
            let headers = answer.headers().clone();
            let body: Value = answer.json().await.unwrap();
            assert_eq!(status, 503, "{url}: {body}");
            assert!(headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0, "{url}");
            assert_eq!(headers["content-type"], "application/problem+json", "{url}");
            assert_eq!(body["status"], 503, "{url}: {body}");
        }
    }
    postgres.restart().await.unwrap();
    until("the services to answer again", || async {
        answers().await.iter().all(|answer| !answer.status().is_server_error()).then_some(())
    })
    .await;
}
