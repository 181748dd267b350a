//! The bodies of HTTP requests, to the services as they run.

use std::collections::BTreeMap;

use pavane_testkit::servers::{Process, ProcessOptions};
use proptest::prelude::*;
use reqwest::Method;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{Tried, fuzz_async};
use crate::house::{House, On};

const TOKEN: &str = "a token of a fuzzer's";

/// The requests that have a body: its corpus, whose it is, and the path.
const REQUESTS: [(&str, &str, Method, &str); 8] = [
    ("orders", "order", Method::POST, "/orders"),
    ("intents", "psp", Method::POST, "/v1/payment_intents"),
    ("refunds", "psp", Method::POST, "/v1/refunds"),
    ("stock", "inventory", Method::PUT, "/stock/TEA-1"),
    ("preflights", "monitor", Method::POST, "/api/redrives/preflight"),
    ("redrives", "monitor", Method::POST, "/api/redrives"),
    ("discards", "monitor", Method::POST, "/api/discards"),
    ("decisions", "monitor", Method::POST, "/api/sagas/7/resolve"),
];

#[test]
fn bodies_of_requests() {
    let runtime = Runtime::new().unwrap();
    let (house, monitor) = runtime.block_on(async {
        let house = House::start(On::Sqlite).await;
        let environment = [
            ("NATS_URL", house.nats.url()),
            ("MONITOR_OPEN", "yes".to_owned()),
            ("MONITOR_TOKENS", format!("fuzz:{TOKEN}")),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let monitor = Process::start("monitor", ProcessOptions { environment, arguments: Vec::new() }).await.unwrap();
        (house, monitor)
    });
    let mut urls: BTreeMap<_, _> = house.processes.iter().map(|(name, process)| (*name, process.url())).collect();
    urls.insert("monitor", monitor.url());
    let client = reqwest::Client::new();
    for (target, service, method, path) in REQUESTS {
        let (client, url) = (&client, &urls[service]);
        fuzz_async(target, &runtime, |body| {
            let request = client.request(method.clone(), format!("{url}{path}")).bearer_auth(TOKEN);
            // With a key of the body's own, so that one that comes again is the same request.
            let key = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, &body).to_string();
            let request = request.header("Idempotency-Key", key).header("content-type", "application/json");
            answered(request.body(body))
        });
        runtime.block_on(async {
            let health = client.get(format!("{url}/healthz")).send().await.unwrap();
            assert_eq!(health.status(), 200, "{service}");
        });
    }
}

/// Whatever was asked, there is an answer that blames nobody but the asker, and says why.
async fn answered(request: reqwest::RequestBuilder) -> Tried {
    let answer = request.send().await.map_err(|error| TestCaseError::fail(format!("no answer: {error}")))?;
    let status = answer.status();
    let text = answer.text().await.map_err(|error| TestCaseError::fail(format!("half an answer: {error}")))?;
    prop_assert!(!status.is_server_error() && status != 401, "{status}: {text}");
    if status.is_client_error() {
        let json: Value = serde_json::from_str(&text).map_err(|_| TestCaseError::fail(format!("{status}: {text}")))?;
        let said = ["/detail", "/error/message"].iter().find_map(|at| json.pointer(at)?.as_str());
        prop_assert!(said.is_some_and(|said| !said.is_empty()), "{status}: {text}");
        // What can be read, but not accepted, names its fields.
        let names = json["errors"].as_array().is_some_and(|errors| !errors.is_empty());
        prop_assert!(status != 422 || names || !json["error"].is_null(), "{text}");
    }
    Ok(())
}
