//! The services and their provider, as travellers and auditors see them.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// The services.
pub const SERVICES: [&str; 6] = ["trip", "flight", "hotel", "car", "ticketing", "itinerary"];

/// Where each service answers, and the provider.
#[derive(Debug, Clone)]
pub struct Company {
    /// By service, for each of its instances.
    urls: BTreeMap<&'static str, Vec<String>>,
    http: reqwest::Client,
    patience: Duration,
}

impl Company {
    /// One without services. An instance has `answer_within` for its answer; who gets none goes on asking for `patience`.
    ///
    /// # Errors
    ///
    /// When no HTTP client can be made.
    pub fn new(answer_within: Duration, patience: Duration) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(answer_within).build()?;
        Ok(Self { urls: BTreeMap::new(), http, patience })
    }

    /// Adds an instance of a service, or the `provider`.
    pub fn add(&mut self, service: &'static str, url: String) {
        self.urls.entry(service).or_default().push(url);
    }

    /// Where the first instance of a service answers.
    pub(super) fn url(&self, service: &str) -> Result<String> {
        let urls = self.urls.get(service).with_context(|| format!("there is no service {service:?}"))?;
        urls.first().cloned().context("it has no instance")
    }

    /// Whether its services are [killed](super::running::Running::kill_while) now and then. Only then they have several instances.
    pub fn loses_processes(&self) -> bool {
        self.urls.values().any(|urls| urls.len() > 1)
    }

    pub(super) fn services(&self) -> Vec<&'static str> {
        self.urls.keys().copied().collect()
    }

    /// Sends a request to a service. Where an instance doesn't answer, or is in trouble, to the next one, until one does: so the service may
    /// get a request twice.
    ///
    /// # Errors
    ///
    /// When none has answered in time.
    pub async fn send(&self, method: Method, service: &str, path: &str, body: Option<&Value>) -> Result<Response> {
        let urls = self.urls.get(service).with_context(|| format!("there is no service {service:?}"))?;
        let deadline = Instant::now() + self.patience;
        for url in urls.iter().cycle() {
            let request = self.http.request(method.clone(), format!("{url}{path}"));
            let request = body.into_iter().fold(request, RequestBuilder::json);
            match request.send().await.and_then(fail_if_in_trouble) {
                Ok(response) => return Ok(response),
                Err(error) if Instant::now() > deadline => {
                    return Err(error).with_context(|| format!("{service} does not answer {method} {path}"));
                }
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
        unreachable!("a service has an instance")
    }

    /// As [`send`](Self::send): what a service has at `path`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and when the answer is no JSON, or says that something is wrong.
    pub async fn get(&self, service: &str, path: &str) -> Result<Value> {
        let response = self.send(Method::GET, service, path, None).await?.error_for_status()?;
        response.json().await.with_context(|| format!("{service} answers {path} with no JSON"))
    }
}

fn fail_if_in_trouble(response: Response) -> reqwest::Result<Response> {
    if response.status().is_server_error() { response.error_for_status() } else { Ok(response) }
}
