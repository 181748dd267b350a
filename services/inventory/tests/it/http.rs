//! The service as it runs, over a real nats-server, through its HTTP API.

use inventory::{SetStock, Stock};
use pavane::Config;
use pavane_bus::{Bus as _, JetStream, jetstream};
use pavane_testkit::{
    FreshDatabase, Served, envelope, outgoing,
    servers::{Nats, Tools},
    until,
};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};
use web::{FieldError, HTTP_PATIENCE, Problem};

use crate::order::Order;

struct Running {
    served: Served,
    client: Client,
    _database: FreshDatabase,
}

impl Running {
    async fn start(nats: &Nats, database: &FreshDatabase) -> Self {
        let config = Config::new(nats.url()).database(database.url());
        let served = Served::start(|listener, shutdown| inventory::run(config, listener, Box::pin(shutdown))).await;
        Self { served, client: Client::new(), _database: database.clone() }
    }

    async fn get(&self, path: &str) -> Response {
        self.client.get(self.served.url(path)).send().await.unwrap()
    }

    async fn put(&self, sku: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.client.put(self.served.url(&format!("/stock/{sku}"))).body(body);
        request.header("content-type", "application/json").send().await.unwrap()
    }

    async fn set(&self, sku: &str, on_hand: i64) -> Response {
        self.put(sku, serde_json::to_vec(&SetStock { on_hand }).unwrap()).await
    }

    async fn stop(mut self) {
        self.served.stop().await;
    }
}

async fn problem(response: Response, status: StatusCode) -> (String, Option<String>) {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Problem = response.json().await.unwrap();
    assert_eq!(problem.status, status.as_u16());
    match problem.errors.into_iter().next() {
        Some(FieldError { field, detail }) => (detail, Some(field)),
        None => (problem.detail, None),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_is_set_shown_and_listed() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    for database in FreshDatabase::of_each_kind().await {
        let service = Running::start(&nats, &database).await;
        for sku in ["mug", "cup", "pot"] {
            assert_eq!(service.set(sku, 5).await.status(), StatusCode::OK);
        }
        let set: Value = service.set("mug", 7).await.json().await.unwrap();
        assert_eq!(set, json!({"sku": "mug", "on_hand": 7, "reserved": 0, "shipped": 0, "available": 7}));
        assert_eq!(service.get("/stock/mug").await.json::<Value>().await.unwrap(), set);

        let listed = async |query: &str| {
            let list: Vec<Stock> = service.get(&format!("/stock{query}")).await.json().await.unwrap();
            list.into_iter().map(|stock| stock.sku).collect::<Vec<_>>()
        };
        assert_eq!(listed("").await, ["cup", "mug", "pot"]);
        assert_eq!(listed("?after=mug").await, ["pot"]);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_said() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let service = Running::start(&nats, &FreshDatabase::sqlite()).await;
    let field = |name: &str| Some(name.to_owned());
    for on_hand in [-1, 1_000_000_001] {
        assert_eq!(problem(service.set("mug", on_hand).await, StatusCode::BAD_REQUEST).await.1, field("on_hand"));
    }
    for body in [r#"{"on_hand": "five"}"#, r#"{"on_hand": 1.5}"#, "{}", r#"{"on_hand": 1, "reserved": 0}"#] {
        let (_, named) = problem(service.put("mug", body).await, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(named, field("on_hand"), "{body}");
    }
    problem(service.put("mug", "{").await, StatusCode::BAD_REQUEST).await;
    problem(service.put("mug", vec![b' '; 20_000]).await, StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(problem(service.set("a%20mug", 1).await, StatusCode::BAD_REQUEST).await.1, field("sku"));
    assert_eq!(problem(service.get("/stock/mug").await, StatusCode::NOT_FOUND).await.1, None);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_never_falls_below_what_is_reserved() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let bus = JetStream::connect(jetstream::Config::new(nats.url(), "test")).await.unwrap();
    for database in FreshDatabase::of_each_kind().await {
        let service = Running::start(&nats, &database).await;
        service.set("mug", 5).await;
        let order = Order::of(&[("mug", 3)]);
        bus.publish(vec![outgoing(&envelope(order.saga, &order.authorized()))]).await.remove(0).unwrap();
        let mug = until("the reservation", async || {
            let mug: Stock = service.get("/stock/mug").await.json().await.unwrap();
            (mug.reserved == 3).then_some(mug)
        })
        .await;
        assert_eq!([mug.on_hand, mug.available], [5, 2]);

        let (detail, field) = problem(service.set("mug", 2).await, StatusCode::CONFLICT).await;
        assert_eq!((detail.as_str(), field.as_deref()), ("more than 2 of mug are reserved", Some("on_hand")));
        let mug: Stock = service.set("mug", 3).await.json().await.unwrap();
        assert_eq!([mug.on_hand, mug.reserved, mug.available], [3, 3, 0]);
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_and_machines_find_their_pages() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let service = Running::start(&nats, &FreshDatabase::sqlite()).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(service.get(path).await.status(), StatusCode::OK, "{path}");
    }
    let description: Value = service.get("/openapi.json").await.json().await.unwrap();
    let paths: Vec<_> = description["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/stock", "/stock/{sku}"]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_cannot_start_says_why() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config::new(nats.url()).database("mysql://localhost/inventory");
    let error = inventory::run(config, listener, Box::pin(std::future::ready(()))).await.unwrap_err();
    let message = format!("{error:#}");
    assert!(message.starts_with("failed to start the service: ") && message.contains("mysql://"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stalls_does_not_keep_the_service_from_stopping() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let service = Running::start(&nats, &FreshDatabase::sqlite()).await;
    service.get("/healthz").await;
    let mut stalled = TcpStream::connect(service.served.address()).await.unwrap();
    let head = "PUT /stock/mug HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    stalled.write_all(head.as_bytes()).await.unwrap();
    // A later request is answered, so the stalled one is under way.
    service.get("/healthz").await;
    let limit = HTTP_PATIENCE * 5;
    tokio::time::timeout(limit, service.stop()).await.unwrap();
}
