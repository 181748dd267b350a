//! The alert rules, as Prometheus reads them, and against the shop as it runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::PathBuf,
    process::Stdio,
};

use pavane_testkit::servers::free_port;
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};
use tokio::process::{Child, Command};

use crate::house::{House, On, until};

fn docker() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docker")
}

/// A program of the Prometheus project.
pub(crate) fn program(name: &str) -> Command {
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    Command::new(found.unwrap_or_else(|| {
        panic!("{name} isn't in PATH; get it by `apt-get install prometheus`, `brew install prometheus` or from prometheus.io")
    }))
}

async fn promtool(arguments: &[&str]) {
    let output = program("promtool").current_dir(docker().join("prometheus")).args(arguments).output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {arguments:?}: {}", String::from_utf8_lossy(&said));
}

#[tokio::test]
async fn the_rules_fire_when_they_should_and_only_then() {
    promtool(&["check", "config", "prometheus.yaml"]).await;
    promtool(&["test", "rules", "alerts.test.yaml"]).await;
}

/// The names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("pavane_") && !word.ends_with('_')).collect()
}

#[test]
fn whatever_is_watched_is_documented() {
    let operations = fs::read_to_string(docker().join("../docs/operations.md")).unwrap();
    let documented = metrics(&operations);
    for file in ["prometheus/alerts.yaml", "grafana/dashboards/sagas.json", "grafana/dashboards/plumbing.json"] {
        let text = fs::read_to_string(docker().join(file)).unwrap();
        let watched = metrics(&text);
        assert!(!watched.is_empty());
        for metric in watched {
            let metric = metric.strip_suffix("_bucket").unwrap_or(metric);
            assert!(documented.contains(metric), "{file} watches {metric}, which docs/operations.md doesn't explain");
        }
    }
}

/// What the panels of a dashboard ask, and the legends that they show.
fn queries(dashboard: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(docker().join("grafana/dashboards").join(dashboard)).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert_eq!(panel["datasource"]["uid"], "prometheus", "{panel}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{panel}");
        queries.extend(targets.iter().map(|target| (text(&target["expr"]), text(&target["legendFormat"]))));
    }
    queries
}

/// What stands between these, wherever it does.
fn between<'a>(text: &'a str, open: &'a str, close: char) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split(close).next())
}

/// The labels that each metric is documented with.
fn documented_labels() -> BTreeMap<String, BTreeSet<String>> {
    let operations = fs::read_to_string(docker().join("../docs/operations.md")).unwrap();
    let rows = operations.lines().filter_map(|line| line.strip_prefix("| `pavane_")?.split('`').next());
    let metric = |row: &str| {
        let (name, labels) = row.split_once('{').unwrap_or((row, ""));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        (format!("pavane_{name}"), labels.map(str::to_owned).collect())
    };
    rows.map(metric).collect()
}

#[tokio::test]
async fn the_dashboards_ask_what_prometheus_understands_and_metrics_have() {
    let provisioned = docker().join("grafana/provisioning/datasources/prometheus.yaml");
    assert!(fs::read_to_string(provisioned).unwrap().contains("uid: prometheus\n"));
    let queries = [queries("sagas.json"), queries("plumbing.json")].concat();
    let rule = |(number, (query, _)): (usize, &(String, String))| json!({ "record": format!("query:{number}"), "expr": query });
    let rules: Vec<_> = queries.iter().enumerate().map(rule).collect();
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), json!({ "groups": [{ "name": "dashboards", "rules": rules }] }).to_string()).unwrap();
    promtool(&["check", "rules", file.path().to_str().unwrap()]).await;

    let documented = documented_labels();
    for (query, legend) in &queries {
        let named: Vec<_> =
            metrics(query).into_iter().map(|name| name.strip_suffix("_bucket").unwrap_or(name)).collect();
        assert!(!named.is_empty(), "{query}");
        let grouped = between(query, "by (", ')').flat_map(|labels| labels.split(", "));
        let selected = between(query, "{", '}').flat_map(|labels| labels.split(", "));
        let selected = selected.filter_map(|label| label.split(['=', '!']).next());
        for label in grouped.chain(selected).chain(between(legend, "{{", '}')).map(str::trim) {
            // Histograms have buckets by nature.
            let is_there = |name: &&str| label == "le" || documented[*name].contains(label);
            assert!(named.iter().all(is_there), "{query}: no label {label}");
        }
    }
}

/// A Prometheus that watches some services by the committed rules.
struct Watch {
    url: String,
    _process: Child,
    _folder: TempDir,
}

impl Watch {
    fn over(targets: &[String]) -> Self {
        let folder = TempDir::new().unwrap();
        let config = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [docker().join("prometheus/alerts.yaml")],
            "scrape_configs": [{ "job_name": "shop", "static_configs": [{ "targets": targets }] }],
        });
        let file = folder.path().join("prometheus.yaml");
        // JSON is YAML.
        fs::write(&file, config.to_string()).unwrap();
        let address = format!("127.0.0.1:{}", free_port().unwrap());
        let process = program("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { url: format!("http://{address}"), _process: process, _folder: folder }
    }

    /// What an API answers; `None` while nothing does.
    async fn ask(&self, path: &str) -> Option<Value> {
        reqwest::get(format!("{}{path}", self.url)).await.ok()?.json().await.ok()
    }

    /// Who is alerted about, while something fires.
    async fn firing(&self, alert: &str) -> Option<String> {
        let answer = self.ask("/api/v1/alerts").await?;
        let alerts = answer["data"]["alerts"].as_array()?.clone();
        let firing = alerts.iter().find(|it| it["labels"]["alertname"] == alert && it["state"] == "firing")?;
        Some(firing["labels"]["instance"].as_str()?.to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_fires_when_a_service_is_stopped_and_ends_when_it_is_back() {
    let mut house = House::start(On::Sqlite).await;
    let target = |url: String| url.trim_start_matches("http://").to_owned();
    let services = ["order", "payment", "inventory", "shipping", "notification"];
    let targets: Vec<_> = services.iter().map(|service| target(house.process(service).url())).collect();
    let watch = Watch::over(&targets);
    until("Prometheus to see every service", async || {
        let up = watch.ask("/api/v1/query?query=sum(up)").await?;
        (up["data"]["result"][0]["value"][1] == "5").then_some(())
    })
    .await;
    house.process("shipping").terminate().await.unwrap();
    let who = until("the alert", async || watch.firing("PavaneInstanceDown").await).await;
    assert_eq!(who, targets[3]);
    house.process("shipping").restart().await.unwrap();
    until("the alert's end", async || watch.firing("PavaneInstanceDown").await.is_none().then_some(())).await;
}
