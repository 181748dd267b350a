//! What the descriptions of the HTTP APIs say of answers that any operation may give.

use pavane_testkit::servers::{Process, ProcessOptions};
use serde_json::Value;

use crate::house::{House, On};

/// Every operation of a description: its path, its method, and its responses.
fn operations(description: &Value) -> Vec<(String, &Value)> {
    let paths = description["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |it| (path, it)));
    all.map(|(path, (method, operation))| (format!("{method} {path}"), &operation["responses"])).collect()
}

/// Fails unless the responses describe a problem of this status; with `Retry-After` where a client is to come back.
fn assert_problem(operation: &str, responses: &Value, status: &str, comes_back: bool) {
    let response = &responses[status];
    let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
    assert_eq!(schema, "#/components/schemas/Problem", "{operation}: {status}: {response}");
    assert_eq!(response["headers"]["Retry-After"].is_object(), comes_back, "{operation}: {status}: {response}");
}

async fn description(url: &str) -> Value {
    reqwest::get(format!("{url}/openapi.json")).await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_declares_what_it_answers_while_the_database_is_away_and_what_the_guard_answers() {
    let house = House::start(On::Sqlite).await;
    for service in ["order", "payment", "inventory", "shipping", "notification"] {
        let description = description(&house.shop.url(service, "")).await;
        assert!(description["components"]["schemas"]["Problem"].is_object(), "{service}");
        for (operation, responses) in operations(&description) {
            assert_problem(&format!("{service}: {operation}"), responses, "503", true);
        }
    }
    let environment = [("NATS_URL", house.nats.url()), ("MONITOR_OPEN", "yes".to_owned())];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let monitor = Process::start("monitor", ProcessOptions { environment, arguments: Vec::new() }).await.unwrap();
    let description = description(&monitor.url()).await;
    let operations = operations(&description);
    let guarded = operations.iter().filter(|(operation, _)| operation.contains(" /api/"));
    assert!(guarded.clone().count() > 20);
    for (operation, responses) in guarded {
        assert_problem(operation, responses, "421", false);
        assert_problem(operation, responses, "429", true);
        if !operation.ends_with("/api/access") {
            assert_problem(operation, responses, "401", false);
        }
    }
    for (operation, responses) in operations.iter().filter(|(operation, _)| !operation.contains(" /api/")) {
        assert_eq!(responses["421"], Value::Null, "{operation}");
    }
}
