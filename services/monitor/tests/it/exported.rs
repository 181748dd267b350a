//! A recorded saga, exported as a test case for the shipping service; and that test case, which runs here.
//!
//! `exported/recording.jsonl` is a saga of the shop's demo whose money could not be taken, in the form of the `record` example
//! of `pavane-cli`, and what the services declare. The export has no personal data, and is a test all the same. `PAVANE_BLESS=1` writes the export anew.

mod saga;

use std::{env, fs, path::Path};

use monitor::Settings;
use pavane_bus::{Bus as _, JetStream, Outgoing, Topology, jetstream::Config, topology::EVENTS};
use pavane_testkit::{
    Served, Stage, given,
    servers::{Nats, Tools},
    until,
};
use serde::Deserialize;
use shipping::Shipping;

const RECORDING: &str = include_str!("exported/recording.jsonl");
const EXPORT: &str = include_str!("exported/saga.rs");
const ORDER: &str = "01a2029d-59c3-7945-8ab7-cb84f4a8c636";

/// What the exported test asks for. Shipping needs nothing in its tables beforehand.
async fn stage() -> Stage<Shipping, sqlx::Any> {
    given(shipping::service(Shipping)).await
}

/// A recorded message.
#[derive(Deserialize)]
pub(crate) struct Recorded {
    pub(crate) stream: String,
    pub(crate) subject: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) payload: String,
}

/// A monitor that watches a recording.
pub(crate) struct Recording {
    monitor: Served,
    _nats: Nats,
}

impl Recording {
    pub(crate) async fn replayed(recording: impl Iterator<Item = Recorded>) -> Self {
        let nats = Nats::start(&Tools::from_env()).await.unwrap();
        let bus = JetStream::connect(Config::new(nats.url(), "replay")).await.unwrap();
        bus.provision(&Topology::default()).await.unwrap();
        for (number, Recorded { stream, subject, headers, payload }) in recording.enumerate() {
            if stream == EVENTS {
                let headers = headers.into_iter().collect();
                let message = Outgoing { subject, headers, payload: payload.into(), message_id: number.to_string() };
                bus.publish(vec![message]).await.remove(0).unwrap();
            } else {
                let service = subject.rsplit('.').next().unwrap();
                bus.declare(&Topology::default(), service, payload.into()).await.unwrap();
            }
        }
        let (config, settings) = (Config::new(nats.url(), monitor::NAME), Settings::default().opened());
        let monitor =
            Served::start(|listener, shutdown| monitor::run(config, settings, listener, Box::pin(shutdown))).await;
        Self { monitor, _nats: nats }
    }

    /// The address of a page of the monitor, once it has read everything.
    pub(crate) async fn url(&self, path: &str) -> String {
        until("the monitor to be ready", async || {
            reqwest::get(self.monitor.url("/readyz")).await.ok()?.status().is_success().then_some(())
        })
        .await;
        self.monitor.url(path)
    }

    /// What the monitor answers, once it has read everything.
    pub(crate) async fn get(&self, path: &str) -> String {
        reqwest::get(self.url(path).await).await.unwrap().error_for_status().unwrap().text().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_export_of_a_recorded_saga_is_the_test_that_runs_here() {
    let recording = Recording::replayed(RECORDING.lines().map(|line| serde_json::from_str(line).unwrap())).await;
    let export = recording.get(&format!("/api/sagas/{ORDER}/test-case?service=shipping")).await;
    if env::var_os("PAVANE_BLESS").is_some() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/exported/saga.rs");
        fs::write(file, &export).unwrap();
    }
    assert_eq!(export, EXPORT);
}
