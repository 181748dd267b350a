//! What operators see of a process: its metrics and its logs.

use std::{collections::BTreeSet, fs, path::Path, process::Stdio, time::Duration};

use demo::{customer, scenario::Scenario};
use pavane_testkit::servers::{Nats, Postgres, Process, ProcessOptions, Tools, free_port};
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    alerts::program,
    house::{House, On, until},
};

/// What promtool says of a page of metrics; empty when it has no objection.
async fn objections(page: &str) -> String {
    let mut promtool = program("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(page.as_bytes()).await.unwrap();
    drop(input);
    let output = promtool.wait_with_output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(output.status.success(), said.is_empty(), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_pass_promtool_and_logs_in_a_file_have_no_escape_sequences() {
    let house = House::start(On::Sqlite).await;
    let open = ("MONITOR_OPEN".to_owned(), "yes".to_owned());
    let environment = vec![("NATS_URL".to_owned(), house.nats.url()), open];
    let monitor = Process::start("monitor", ProcessOptions { environment, arguments: Vec::new() }).await.unwrap();
    customer::fill_shelves(&house.shop, 10).await.unwrap();
    let scenarios = vec![Scenario::Confirmed, Scenario::Declined];
    customer::place_all(&house.shop, scenarios, 2, || {}).await.unwrap();

    let processes = house.processes.iter().map(|(name, process)| (*name, process));
    for (name, process) in processes.chain([("monitor", &monitor)]) {
        let url = format!("{}/metrics", process.url());
        let page = reqwest::get(url).await.unwrap().error_for_status().unwrap().text().await.unwrap();
        assert!(page.contains("\n# TYPE "), "{name}: {page}");
        assert_eq!(objections(&page).await, "", "{name}");
        let reacts = !["psp", "monitor"].contains(&name);
        assert_eq!(page.contains("# TYPE pavane_handler_seconds histogram\n"), reacts, "{name}: {page}");
        let log = process.log_tail();
        assert!(log.contains("INFO") && !log.contains('\u{1b}'), "{name}: {log:?}");
    }
}

#[tokio::test]
async fn promtool_objects_to_a_metric_without_help() {
    let said = objections("# TYPE a_total counter\na_total 1\n").await;
    assert!(said.contains("help"), "{said}");
}

/// The files of a folder and below.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// A page of metrics shows only what happened so far, so this also looks at the code.
#[test]
fn every_metric_is_described_and_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let operations = fs::read_to_string(root.join("docs/operations.md")).unwrap();
    let mut names = BTreeSet::new();
    for file in files(&root.join("crates")).into_iter().filter(|it| it.extension().is_some_and(|it| it == "rs")) {
        if !file.components().any(|it| it.as_os_str() == "src") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for declared in text.split("const ").skip(1) {
            let Some((name, value)) = declared.split_once(": &str = \"pavane_") else { continue };
            if !name.chars().all(|c| c.is_ascii_uppercase() || c == '_') || !text.contains("metrics::") {
                continue;
            }
            let metric = format!("pavane_{}", value.split('"').next().unwrap());
            let described = ["counter", "gauge", "histogram"].map(|kind| format!("describe_{kind}!({name},"));
            // Whatever the line breaks.
            let dense: String = text.split_whitespace().collect();
            assert!(described.iter().any(|it| dense.contains(it)), "{}: {metric} has no help text", file.display());
            let row = format!("| `{metric}");
            assert!(operations.contains(&row), "{metric} is not in docs/operations.md");
            names.insert(metric);
        }
    }
    assert!(names.contains("pavane_handler_seconds") && names.len() > 10, "{names:?}");
}

/// The value of a gauge of one service.
fn gauge(page: &str, name: &str, service: &str) -> Option<f64> {
    let start = format!("{name}{{service=\"{service}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&start))?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_what_waits_and_never_wait_for_the_database() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let url = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
    let environment = [("NATS_URL", nats.url()), ("DATABASE_URL", url.clone())];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let shipping = Process::start("shipping", ProcessOptions { environment, arguments: Vec::new() }).await.unwrap();
    let metrics = async || {
        let page = reqwest::get(format!("{}/metrics", shipping.url())).await.unwrap().error_for_status().unwrap();
        page.text().await.unwrap()
    };
    let mut own = PgConnection::connect(&url).await.unwrap();
    // Of a reaction that no process runs, so that it stays.
    let undo = "insert into pavane_waiting (reaction, event_id, saga, step, subject, headers, body, sequence, since, next_at) \
                values ('of-nobody', gen_random_uuid(), gen_random_uuid(), 'a', 's', '[]', '', 1, 1, 1)";
    own.execute(undo).await.unwrap();
    until("the undo to be counted", async || {
        let page = metrics().await;
        let is_old = gauge(&page, "pavane_undos_oldest_seconds", "shipping").is_some_and(|seconds| seconds > 1e9);
        let none_else = gauge(&page, "pavane_outbox_unsent", "shipping") == Some(0.0);
        (gauge(&page, "pavane_undos_waiting", "shipping") == Some(1.0) && is_old && none_else).then_some(())
    })
    .await;

    // What counts them waits from now on.
    let mut holding = own.begin().await.unwrap();
    holding.execute("lock table pavane_waiting in access exclusive mode").await.unwrap();
    for _ in 0..5 {
        let answer = tokio::time::timeout(Duration::from_mins(1), metrics()).await;
        let page = answer.expect("an answer while the database does not answer");
        assert_eq!(gauge(&page, "pavane_undos_waiting", "shipping"), Some(1.0), "{page}");
    }
    let counting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' \
                    and query like 'select count(*), %min(since) from pavane_waiting'";
    let counting: i64 = sqlx::query_scalar(counting).fetch_one(&mut *holding).await.unwrap();
    assert_eq!(counting, 1, "connections that count");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_metrics_have_a_port_of_their_own_if_asked_for() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let folder = TempDir::new().unwrap();
    for service in ["shipping", "monitor"] {
        let own = format!("127.0.0.1:{}", free_port().unwrap());
        let environment = [
            ("NATS_URL", nats.url()),
            ("DATABASE_URL", format!("sqlite:{}", folder.path().join("shipping.db").display())),
            ("METRICS_ADDR", own.clone()),
            ("MONITOR_OPEN", "yes".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let process = Process::start(service, ProcessOptions { environment, arguments: Vec::new() }).await.unwrap();
        let (public, own) = (process.url(), format!("http://{own}"));
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(status(&own, path).await, 200, "{service} {path}");
            assert_eq!(status(&public, path).await, 404, "{service} {path}");
        }
        assert_eq!(status(&public, "/openapi.json").await, 200, "{service}");
        assert_eq!(status(&own, "/openapi.json").await, 404, "{service}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stops_tells_operators_so_while_it_answers_its_last_requests() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let folder = TempDir::new().unwrap();
    let own = format!("127.0.0.1:{}", free_port().unwrap());
    let environment = [
        ("NATS_URL", nats.url()),
        ("DATABASE_URL", format!("sqlite:{}", folder.path().join("inventory.db").display())),
        ("METRICS_ADDR", own.clone()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let mut process = Process::start("inventory", ProcessOptions { environment, arguments: Vec::new() }).await.unwrap();
    let (public, own) = (process.url(), format!("http://{own}"));
    // Its body does not end, so it is under way for as long as the service waits for it.
    let mut stalled = TcpStream::connect(public.trim_start_matches("http://")).await.unwrap();
    let head = "PUT /stock/mug HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    stalled.write_all(head.as_bytes()).await.unwrap();
    // A later request is answered, so the stalled one has begun.
    assert_eq!(status(&public, "/openapi.json").await, 200);
    let watch = async {
        until("it to be ready no longer", || async { (status(&own, "/readyz").await == 503).then_some(()) }).await;
        let told: Value = reqwest::get(format!("{own}/readyz")).await.unwrap().json().await.unwrap();
        assert_eq!(told["missing"], serde_json::json!(["the service is stopping"]));
        for path in ["/healthz", "/metrics"] {
            assert_eq!(status(&own, path).await, 200, "{path}");
        }
    };
    let (stopped, ()) = tokio::join!(process.terminate(), watch);
    stopped.unwrap();
}

async fn status(url: &str, path: &str) -> u16 {
    reqwest::get(format!("{url}{path}")).await.unwrap().status().as_u16()
}
