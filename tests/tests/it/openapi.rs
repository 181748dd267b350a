//! Every service answers as its OpenAPI description says, whatever it is asked: Schemathesis makes the requests.
//!
//! A few requests of each kind by a fixed seed, so that CI sees the same each time. `just api` makes many by a seed of its own.

use std::{env, path::Path, process::Stdio};

use pavane_testkit::servers::{Process, ProcessOptions};
use shop_tests::{Tools, schemathesis};
use tempfile::TempDir;
use tokio::process::Command;

use crate::house::{House, On};

/// How many requests are made up for each operation, beside those at the entry points of what its description allows.
const EXAMPLES: &str = "SCHEMATHESIS_EXAMPLES";
/// What decides which.
const SEED: &str = "SCHEMATHESIS_SEED";

fn setting(name: &str, default: &str) -> String {
    env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}

/// What Schemathesis has to object to an API, with the requests that show it; `None` when it has nothing.
async fn objections(folder: &Path, url: &str) -> Option<String> {
    let own = TempDir::new().unwrap();
    let mut command = Command::new("python3");
    command.arg(folder.join("bin/schemathesis")).env("PYTHONPATH", folder).current_dir(own.path());
    command.args(["run", &format!("{url}/openapi.json"), "--no-color", "--generation-database", "none"]);
    command.args(["--seed", &setting(SEED, "11"), "--max-examples", &setting(EXAMPLES, "8")]);
    // The steps of a workflow are not described as links, and the other tests walk through them.
    command.args(["--phases", "examples,coverage,fuzzing"]);
    // A shop refuses much that has the right shape: an order over its limits, a charge that was refunded.
    command.args(["--exclude-checks", "positive_data_acceptance"]);
    // It never ends, as its description says.
    command.args(["--exclude-path", "/api/live"]);
    // A machine may be slow.
    command.args(["--request-timeout", "60", "--suppress-health-check", "all"]);
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("Seed: "), "Schemathesis made no request: {said}");
    (!output.status.success()).then_some(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_answers_as_its_description_says() {
    let folder = schemathesis(&Tools::from_env()).await.unwrap_or_else(|error| panic!("failed to {error}"));
    println!("{SEED}={} {EXAMPLES}={}", setting(SEED, "11"), setting(EXAMPLES, "8"));
    let house = House::start(On::Sqlite).await;
    let open = ("MONITOR_OPEN".to_owned(), "yes".to_owned());
    let environment = vec![("NATS_URL".to_owned(), house.nats.url()), open];
    let monitor = Process::start("monitor", ProcessOptions { environment, arguments: Vec::new() }).await.unwrap();
    let services = house.processes.iter().map(|(name, process)| (*name, process));
    let mut wrong = Vec::new();
    for (name, process) in services.chain([("monitor", &monitor)]) {
        let said = objections(&folder, &process.url()).await;
        wrong.extend(said.map(|said| format!("{name}:\n{said}\n{}", process.log_tail())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
