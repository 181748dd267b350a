//! A NATS that others share or own: two systems in one account, and streams that an operator makes.

use std::sync::Arc;

use pavane::{
    Config, Correlation,
    any::{App, Db},
};
use pavane_bus::{Bus as _, JetStream, Topology, jetstream, topology::EVENTS};
use pavane_testkit::servers::{Nats, Tools};
use sqlx::Row as _;
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::stage::{START, Script, Started, service, until};

struct Running {
    db: Db,
    stop: oneshot::Sender<()>,
    service: JoinHandle<Result<(), pavane::Error>>,
}

fn config(nats: &Nats, folder: &TempDir, database: &str) -> Config {
    Config::new(nats.url()).database(format!("sqlite:{}", folder.path().join(format!("{database}.db")).display()))
}

/// The stage's service, and one order there.
async fn run(config: Config, key: &str) -> Running {
    let app: App<_, _> = service(Arc::new(Script::default())).connect(config).await.unwrap();
    let (db, start) = (app.db().clone(), app.entry(&START));
    let (stop, stopped) = oneshot::channel::<()>();
    let service = tokio::spawn(app.run_until(async move { drop(stopped.await) }));
    let mut tx = start.begin(Correlation::start()).await.unwrap();
    tx.emit(&Started { key: key.to_owned() }).await.unwrap();
    tx.commit().await.unwrap();
    Running { db, stop, service }
}

impl Running {
    /// What its handlers did, and about which keys.
    async fn done(&self) -> Vec<String> {
        let query = sqlx::query("select kind || ' ' || key from steps order by 1");
        let rows = query.fetch_all(self.db.readers()).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>(0)).collect()
    }

    async fn until_done(&self, expected: &[String]) {
        until(&format!("{expected:?} to be done"), || async { (self.done().await == expected).then_some(()) }).await;
    }

    async fn stop(self) {
        drop(self.stop);
        self.service.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_systems_with_the_same_services_share_an_account() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let folder = TempDir::new().unwrap();
    let both = [("shop", "a"), ("other", "b")];
    let mut running = Vec::new();
    for (namespace, key) in both {
        running.push(run(config(&nats, &folder, namespace).namespace(namespace), key).await);
    }
    for (system, (_, key)) in running.iter().zip(both) {
        system.until_done(&["charge", "step"].map(|kind| format!("{kind} {key}"))).await;
    }
    for (namespace, key) in both {
        let mut looker = jetstream::Config::new(nats.url(), "looker");
        looker.namespace = Some(namespace.to_owned());
        let bus = JetStream::connect(looker).await.unwrap();
        // Every reaction has read to the end, so what was done above is all.
        until("all to be read", || async {
            let end = bus.stream_report(EVENTS).await.unwrap().unwrap().last_sequence;
            let consumers = bus.consumer_reports(EVENTS).await.unwrap();
            let is_read = consumers.iter().all(|it| it.pending + it.in_flight == 0 && it.settled.sequence <= end);
            // What the two reactions emit may not be published yet.
            (end >= 3 && is_read).then_some(())
        })
        .await;
        let mut events = bus.read(EVENTS, &[], jetstream::Start::First).await.unwrap();
        let events = events.next(100).await.unwrap();
        assert!(
            events.len() >= 3 && events.iter().all(|it| it.message.subject.ends_with(&format!(".{key}"))),
            "{events:?}"
        );
        bus.close().await;
    }
    for (system, (_, key)) in running.into_iter().zip(both) {
        assert_eq!(system.done().await, ["charge", "step"].map(|kind| format!("{kind} {key}")));
        system.stop().await;
    }
}

/// Each start names one thing that is missing, with the command; when all is there, it runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_only_verifies_starts_once_an_operator_has_made_what_it_needs() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let folder = TempDir::new().unwrap();
    let verifying = || {
        let mut config = config(&nats, &folder, "stage");
        config.nats.verify_only = true;
        config
    };
    let refusal = async || {
        let connected = service(Arc::new(Script::default())).connect(verifying()).await;
        pavane_outbox::chain(&connected.map(drop).unwrap_err())
    };
    let streams = refusal().await;
    assert!(
        streams.contains("the stream EVENTS does not exist") && streams.contains("nats stream add EVENTS"),
        "{streams}"
    );

    let operator = JetStream::connect(jetstream::Config::new(nats.url(), "operator")).await.unwrap();
    operator.provision(&Topology::default()).await.unwrap();
    let consumer = refusal().await;
    for part in ["the consumer stage_", "nats consumer add EVENTS stage_", "--filter 'redrive.stage."] {
        assert!(consumer.contains(part), "{part:?} is missing in {consumer:?}");
    }
    // The service itself, run once by somebody who may.
    run(config(&nats, &folder, "operator"), "made").await.stop().await;
    let running = run(verifying(), "kept").await;
    until("the order to be done", || async { running.done().await.contains(&"step kept".to_owned()).then_some(()) })
        .await;
    running.stop().await;
}
