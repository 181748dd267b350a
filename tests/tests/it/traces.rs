//! One trace from the customer's request to the last undo, as an OpenTelemetry collector gets it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use demo::scenario::Scenario;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind},
};
use pavane_testkit::servers::{Authority, Nats, Process, ProcessOptions, TlsFront, Tools};
use prost::Message as _;
use tokio::net::TcpListener;

use crate::house::{House, On, audit, stocked, until};

/// What a span is to these tests: who made it, and the span itself.
type Spans = Arc<Mutex<Vec<(String, Span)>>>;

/// A collector that keeps what it gets: OTLP over HTTP.
async fn collector() -> (String, Spans) {
    async fn keep(State(spans): State<Spans>, body: Bytes) {
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        for resource in request.resource_spans {
            let named = resource.resource.unwrap().attributes.into_iter().find(|pair| pair.key == "service.name");
            let Some(Value::StringValue(service)) = named.unwrap().value.unwrap().value else { panic!("no name") };
            let new = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.lock().unwrap().extend(new.map(|span| (service.clone(), span)));
        }
    }
    let spans = Spans::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/traces", post(keep)).with_state(Arc::clone(&spans));
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    (url, spans)
}

/// The spans of the one trace that begins with an order, by service and name.
fn order_trace(spans: &Spans) -> Option<BTreeMap<(String, String), Span>> {
    let spans = spans.lock().unwrap();
    let (_, root) = spans.iter().find(|(_, span)| span.name == "POST /orders")?;
    let same = spans.iter().filter(|(_, span)| span.trace_id == root.trace_id);
    Some(same.map(|(service, span)| ((service.clone(), span.name.clone()), span.clone())).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_from_the_request_to_the_last_undo() {
    let (url, spans) = collector().await;
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    let house = House::start_with(On::Sqlite, &settings).await;
    let before = stocked(&house.shop, 1).await;
    let orders = demo::customer::place_all(&house.shop, vec![Scenario::CaptureFails], 1, || {}).await.unwrap();
    audit(&house.shop, &before, &orders).await;
    let expected = [
        ("order", "POST /orders"),
        ("payment", "process authorize-payment"),
        ("inventory", "process reserve-stock"),
        ("shipping", "process create-shipment"),
        ("payment", "process capture-payment"),
        ("order", "process cancel-order"),
        ("payment", "process void-payment"),
        ("inventory", "process release-stock"),
        ("shipping", "process cancel-shipment"),
        ("notification", "process send-cancellation"),
        ("order", "process track-progress"),
    ];
    let expected = expected.map(|(service, name)| (service.to_owned(), name.to_owned()));
    let trace = until("the spans of the order", async || {
        order_trace(&spans).filter(|trace| expected.iter().all(|span| trace.contains_key(span)))
    })
    .await;
    let below = |service: &str, name: &str| {
        let span = &trace[&(service.to_owned(), name.to_owned())];
        trace.iter().find(|(_, above)| above.span_id == span.parent_span_id).map(|((_, name), _)| name.as_str())
    };
    assert_eq!(below("order", "POST /orders"), None, "it begins the trace");
    assert_eq!(below("payment", "process authorize-payment"), Some("POST /orders"));
    assert_eq!(below("inventory", "process reserve-stock"), Some("process authorize-payment"));
    assert_eq!(below("order", "process cancel-order"), Some("process capture-payment"));
    assert_eq!(below("payment", "process void-payment"), Some("process cancel-order"));
    let reserve = &trace[&("inventory".to_owned(), "process reserve-stock".to_owned())];
    assert_eq!(reserve.kind, SpanKind::Consumer as i32);
    assert_eq!(attribute(reserve, "messaging.system"), "nats");
    assert_eq!(attribute(reserve, "messaging.destination.name"), "payment.authorized");
    assert_eq!(attribute(reserve, "messaging.consumer.group.name"), "inventory_reserve-stock");
    assert_eq!(attribute(reserve, "messaging.message.conversation_id"), orders[0].order_id);
}

fn attribute<'a>(span: &'a Span, name: &str) -> &'a str {
    let pair = span.attributes.iter().find(|pair| pair.key == name).unwrap();
    match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{name} is {other:?}"),
    }
}

/// A service with a request behind it. Its spans go to a collector over TLS, which one authority has signed for, and it trusts another
/// one, or the same.
async fn traced(collector: &str, trusted: &Authority, signer: &Authority) -> (Process, Nats, TlsFront) {
    let upstream = collector.strip_prefix("http://").unwrap().parse().unwrap();
    let front = TlsFront::start(upstream, &signer.sign("127.0.0.1").unwrap()).await.unwrap();
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let environment = [
        ("NATS_URL", nats.url()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("https://{}", front.address())),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
        ("SSL_CERT_FILE", trusted.file().display().to_string()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let service = Process::start("inventory", ProcessOptions { environment, arguments: Vec::new() }).await.unwrap();
    reqwest::get(format!("{}/stock", service.url())).await.unwrap().error_for_status().unwrap();
    (service, nats, front)
}

fn has_request(spans: &Spans) -> bool {
    spans.lock().unwrap().iter().any(|(service, span)| service == "inventory" && span.name == "GET /stock")
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_go_to_a_collector_over_tls() {
    let (url, spans) = collector().await;
    let authority = Authority::new().unwrap();
    let (mut service, _nats, _front) = traced(&url, &authority, &authority).await;
    until("the span of a request", async || has_request(&spans).then_some(())).await;
    service.terminate().await.unwrap();
    assert!(!service.log().contains("spans get lost"), "{}", service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_with_a_certificate_of_a_stranger_gets_nothing_and_the_log_says_why() {
    let (url, spans) = collector().await;
    let (service, _nats, _front) = traced(&url, &Authority::new().unwrap(), &Authority::new().unwrap()).await;
    let line = until("a line about the certificate", async || {
        service.log().lines().find(|line| line.contains("spans get lost")).map(str::to_owned)
    })
    .await;
    assert!(line.contains("invalid peer certificate"), "{line}");
    assert!(!has_request(&spans));
}

#[tokio::test]
async fn a_service_with_a_collector_that_nothing_can_be_sent_to_does_not_start() {
    let environment = vec![("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), "collector:4318".to_owned())];
    let started = Process::start("inventory", ProcessOptions { environment, arguments: Vec::new() }).await;
    let refused = started.map(drop).unwrap_err().to_string();
    let expected = "OTEL_EXPORTER_OTLP_ENDPOINT = \"collector:4318\" can't be used: use http://host:4318";
    assert!(refused.contains(expected), "{refused}");
}
