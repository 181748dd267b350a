//! The service as it runs, over a real nats-server, through its HTTP API.

use pavane::{Config, Event};
use pavane_bus::{Bus as _, JetStream, jetstream};
use pavane_testkit::{
    FreshDatabase, Served, envelope, outgoing,
    servers::{Nats, Tools},
    until,
};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use shipping::{Shipment, Status};
use tokio::net::TcpListener;
use web::Problem;

use crate::order::Order;

struct Running {
    served: Served,
    _database: FreshDatabase,
}

impl Running {
    async fn start(nats: &Nats, database: &FreshDatabase) -> Self {
        let config = Config::new(nats.url()).database(database.url());
        let served = Served::start(|listener, shutdown| shipping::run(config, listener, Box::pin(shutdown))).await;
        Self { served, _database: database.clone() }
    }

    async fn get(&self, path: &str) -> Response {
        reqwest::get(self.served.url(path)).await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        self.get(path).await.json().await.unwrap()
    }

    async fn problem(&self, path: &str, status: StatusCode) -> Option<String> {
        let response = self.get(path).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: Problem = response.json().await.unwrap();
        assert_eq!(problem.status, status.as_u16());
        problem.errors.into_iter().next().map(|error| error.field)
    }

    /// Waits until an order's parcel has a status.
    async fn reaches(&self, order: &Order, status: Status) -> Shipment {
        until("the parcel's status", async || {
            let response = self.get(&format!("/shipments/{}", order.id)).await;
            let found = response.status() == StatusCode::OK;
            let shipment: Shipment = if found { response.json().await.unwrap() } else { return None };
            (shipment.status == status).then_some(shipment)
        })
        .await
    }

    async fn stop(mut self) {
        self.served.stop().await;
    }
}

async fn publish<E: Event>(bus: &JetStream, order: &Order, event: &E) {
    bus.publish(vec![outgoing(&envelope(order.saga, event))]).await.remove(0).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn parcels_are_shown_and_counted() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let bus = JetStream::connect(jetstream::Config::new(nats.url(), "test")).await.unwrap();
    for database in FreshDatabase::of_each_kind().await {
        let service = Running::start(&nats, &database).await;
        // Answers once the streams are there.
        service.get("/healthz").await;
        let orders = ["DE", "FR", "US"].map(Order::to);
        for order in &orders {
            publish(&bus, order, &order.reserved()).await;
        }
        for order in &orders {
            service.reaches(order, Status::Created).await;
        }
        publish(&bus, &orders[0], &orders[0].confirmed()).await;
        publish(&bus, &orders[1], &orders[1].cancelled()).await;
        let shipment = service.reaches(&orders[0], Status::Dispatched).await;
        assert_eq!([shipment.country, shipment.carrier], ["DE", "DHL"]);
        service.reaches(&orders[1], Status::Cancelled).await;

        let count = |status: &str| json!({"status": status, "count": 1});
        assert_eq!(
            service.json("/shipments").await,
            json!([count("created"), count("dispatched"), count("cancelled")])
        );
        assert_eq!(service.json("/shipments?status=dispatched").await, json!([count("dispatched")]));
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_said() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let service = Running::start(&nats, &FreshDatabase::sqlite()).await;
    let unknown = format!("/shipments/{}", Order::to("DE").id);
    for (path, status, field) in [
        ("/shipments?status=lost", StatusCode::BAD_REQUEST, Some("status")),
        ("/shipments?status=created&status=created", StatusCode::BAD_REQUEST, Some("status")),
        ("/shipments/42", StatusCode::BAD_REQUEST, Some("order_id")),
        (&unknown, StatusCode::NOT_FOUND, None),
    ] {
        assert_eq!(service.problem(path, status).await.as_deref(), field);
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_and_machines_find_their_pages() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let service = Running::start(&nats, &FreshDatabase::sqlite()).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(service.get(path).await.status(), StatusCode::OK, "{path}");
    }
    let description = service.json("/openapi.json").await;
    let paths: Vec<_> = description["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/shipments", "/shipments/{order_id}"]);
    assert_eq!(service.json("/shipments").await[0], json!({"status": "created", "count": 0}));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_cannot_start_says_why() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config::new(nats.url()).database("mysql://localhost/shipping");
    let error = shipping::run(config, listener, Box::pin(std::future::ready(()))).await.unwrap_err();
    let message = format!("{error:#}");
    assert!(message.starts_with("failed to start the service: ") && message.contains("mysql://"), "{message}");
}
