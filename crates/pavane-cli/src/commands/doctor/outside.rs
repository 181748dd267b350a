//! What NATS doesn't report to its clients: the server's monitoring and a Prometheus do, where there are any.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail};
use serde::Deserialize;

const PATIENCE: Duration = Duration::from_secs(5);
/// The services' own measure of their handlers; documented with their other metrics.
const P99: &str = "histogram_quantile(0.99, sum by (service, reaction, le) (rate(pavane_handler_seconds_bucket[1h])))";

/// How often the server syncs to its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sync {
    /// Before it acknowledges.
    Always,
    /// This often.
    Every(Duration),
}

/// The 99th percentile of handler times by service and reaction.
pub(super) type HandlerTimes = BTreeMap<(String, String), Duration>;

/// Asks the server's monitoring.
pub(super) async fn sync(url: &str) -> anyhow::Result<Sync> {
    #[derive(Deserialize)]
    struct Varz {
        jetstream: JetStream,
    }
    #[derive(Deserialize)]
    struct JetStream {
        config: Option<Config>,
    }
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        sync_interval: u64,
        #[serde(default)]
        sync_always: bool,
    }
    let url = format!("{}/varz", url.trim_end_matches('/'));
    let varz: Varz = client()?.get(url).send().await?.error_for_status()?.json().await?;
    let Some(config) = varz.jetstream.config else { bail!("the server says nothing about JetStream") };
    Ok(if config.sync_always { Sync::Always } else { Sync::Every(Duration::from_nanos(config.sync_interval)) })
}

/// Asks a Prometheus.
pub(super) async fn handler_times(url: &str) -> anyhow::Result<HandlerTimes> {
    #[derive(Deserialize)]
    struct Answer {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        result: Vec<Sample>,
    }
    #[derive(Deserialize)]
    struct Sample {
        metric: Labels,
        value: (f64, String),
    }
    #[derive(Deserialize)]
    struct Labels {
        service: String,
        reaction: String,
    }
    let url = format!("{}/api/v1/query", url.trim_end_matches('/'));
    let url = reqwest::Url::parse_with_params(&url, [("query", P99)]).context("it is no URL")?;
    let answer: Answer = client()?.get(url).send().await?.error_for_status()?.json().await?;
    let mut times = HandlerTimes::new();
    for Sample { metric, value } in answer.data.result {
        // A reaction that has not run lately has no percentile (NaN).
        let seconds = value.1.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
        if let Some(time) = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            times.insert((metric.service, metric.reaction), time);
        }
    }
    Ok(times)
}

fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().timeout(PATIENCE).build()
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request with this body, and says what was asked.
    async fn answer(body: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        (url, asked)
    }

    #[tokio::test]
    async fn prometheus_tells_how_long_handlers_take() {
        let (url, asked) = answer(
            r#"{ "status": "success", "data": { "resultType": "vector", "result": [
                { "metric": { "service": "bank", "reaction": "pay" }, "value": [1800000000.1, "1.5"] },
                { "metric": { "service": "bank", "reaction": "refund" }, "value": [1800000000.1, "NaN"] } ] } }"#,
        )
        .await;
        let times = handler_times(&url).await.unwrap();
        let pay = ("bank".to_owned(), "pay".to_owned());
        assert_eq!(times, HandlerTimes::from([(pay, Duration::from_millis(1500))]));
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("GET /api/v1/query?query=") && asked.contains("pavane_handler_seconds"), "{asked}");
    }

    #[tokio::test]
    async fn what_is_no_prometheus_is_an_error() {
        let (url, _) = answer("<html>").await;
        assert!(handler_times(&url).await.is_err());
        assert!(handler_times("nowhere").await.is_err());
    }
}
