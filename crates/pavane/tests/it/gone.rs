//! What somebody deletes at the server beneath a running service.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::Context;
use pavane::{
    Config, Correlation,
    any::{App, Db, Entry, Readiness, Service},
};
use pavane_bus::{
    JetStream,
    jetstream::{self, Start},
    topology::EVENTS,
};
use pavane_testkit::servers::{Nats, Tools};
use sqlx::Row as _;
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::stage::{START, Script, Started, State, service, until};

const GONE: &str = "the stream EVENTS is gone: restore it, or restart one service, which creates it again; the others go on by \
                    themselves then";

/// The stage's service on a real server.
struct Running {
    nats: Nats,
    folder: TempDir,
    script: State,
    db: Db,
    start: Entry,
    readiness: Readiness<JetStream>,
    stop: oneshot::Sender<()>,
    service: JoinHandle<Result<(), pavane::Error>>,
}

impl Running {
    async fn start() -> Self {
        let nats = Nats::start(&Tools::from_env()).await.unwrap();
        let folder = TempDir::new().unwrap();
        let script = State::from(Script::default());
        let mut config = config(&nats, &folder, "stage");
        config.relay.verify_every = Duration::from_millis(100);
        let app: App<_, _> = service(Arc::clone(&script)).connect(config).await.unwrap();
        let (db, start, readiness) = (app.db().clone(), app.entry(&START), app.readiness());
        let (stop, stopped) = oneshot::channel::<()>();
        let service = tokio::spawn(app.run_until(async move { drop(stopped.await) }));
        Self { nats, folder, script, db, start, readiness, stop, service }
    }

    async fn order(&self, key: &str) {
        let mut tx = self.start.begin(Correlation::start()).await.unwrap();
        tx.emit(&Started { key: key.to_owned() }).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// What the handlers did about a key.
    async fn done(&self, key: &str) -> Vec<String> {
        let query = sqlx::query("select kind from steps where key = $1 order by kind").bind(key.to_owned());
        let rows = query.fetch_all(self.db.readers()).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>(0)).collect()
    }

    async fn until_done(&self, key: &str) {
        until(&format!("{key} to be done"), || async {
            (self.done(key).await == ["charge", "step"] && self.unsent().await == 0).then_some(())
        })
        .await;
    }

    async fn unsent(&self) -> i64 {
        self.readiness.backlog().await.unwrap().unsent
    }

    async fn until_called(&self, times: usize) {
        until(&format!("{times} calls of the provider"), || async {
            (self.script.calls.lock().unwrap().len() == times).then_some(())
        })
        .await;
    }

    async fn until_said(&self, key: &str, expected: &[&str]) {
        until(&format!("{key} to have led to {expected:?}"), || async {
            (self.said(key).await == expected).then_some(())
        })
        .await;
    }

    /// Waits until this is missing first, or nothing is. Reactions that can't be opened because of it come behind it.
    async fn until_missing(&self, expected: &[&str]) {
        until(&format!("{expected:?} to be missing"), || async {
            let missing = self.readiness.missing().await;
            (missing.first().map(String::as_str) == expected.first().copied()).then_some(())
        })
        .await;
    }

    /// As an operator.
    async fn operator(&self) -> Context {
        async_nats::jetstream::new(async_nats::connect(self.nats.url()).await.unwrap())
    }

    /// The events of a key that the stream has, without their owner.
    async fn said(&self, key: &str) -> Vec<String> {
        let bus = JetStream::connect(jetstream::Config::new(self.nats.url(), "looker")).await.unwrap();
        let mut reader = bus.read(EVENTS, &[&format!("events.stage.*.{key}")], Start::First).await.unwrap();
        let stored = reader.next(100).await.unwrap();
        let mut said: Vec<_> =
            stored.iter().filter_map(|it| it.message.subject.split('.').nth(2).map(str::to_owned)).collect();
        said.sort();
        said
    }

    async fn stop(self) {
        drop(self.stop);
        self.service.await.unwrap().unwrap();
    }
}

fn config(nats: &Nats, folder: &TempDir, service: &str) -> Config {
    Config::new(nats.url()).database(format!("sqlite:{}", folder.path().join(format!("{service}.db")).display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_deleted_are_missed_until_a_service_starts_and_nothing_recent_is_lost() {
    let running = Running::start().await;
    running.until_missing(&[]).await;
    running.order("before").await;
    running.until_done("before").await;

    // An event that the service has said, and not heard yet.
    let provider = running.script.provider.lock().await;
    running.order("amid").await;
    running.until_called(2).await;
    running.until_said("amid", &["started", "stepped", "won"]).await;
    // The relay marks what is stored with its next read.
    until("all to be marked as sent", || async { (running.unsent().await == 0).then_some(()) }).await;
    let operator = running.operator().await;
    operator.delete_stream("EVENTS").await.unwrap();
    operator.delete_stream("DEAD_LETTERS").await.unwrap();
    running.until_missing(&[GONE]).await;
    running.order("meanwhile").await;
    running.until_missing(&[GONE]).await;
    assert_eq!(running.done("meanwhile").await, [""; 0]);
    assert_eq!(running.unsent().await, 1, "it waits in the outbox");
    assert!(operator.get_stream("EVENTS").await.is_err(), "an empty stream would hide what is lost");

    let other: Service<()> = Service::new("other", ());
    let other = other.connect(config(&running.nats, &running.folder, "other")).await.unwrap();
    drop(other);
    running.until_missing(&[]).await;
    // What was interrupted comes again, from the outbox; what was handled is not repeated.
    running.until_called(4).await;
    drop(provider);
    for key in ["before", "amid", "meanwhile"] {
        running.until_done(key).await;
        running.until_said(key, &["charged", "started", "stepped", "won"]).await;
    }
    assert!(operator.get_stream("DEAD_LETTERS").await.is_ok());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_deleted_is_made_anew_and_handles_nothing_twice() {
    let running = Running::start().await;
    running.order("before").await;
    running.until_done("before").await;
    let operator = running.operator().await;
    for reaction in ["step", "charge"] {
        operator.delete_consumer_from_stream(format!("stage_{reaction}"), "EVENTS").await.unwrap();
    }
    running.order("after").await;
    running.until_done("after").await;
    running.until_missing(&[]).await;
    assert_eq!(running.done("before").await, ["charge", "step"]);
    assert_eq!(running.script.calls.lock().unwrap().len(), 2, "one call for each");
    running.stop().await;
}
