//! What a service says about itself when it runs.

use std::{sync::Arc, time::Duration};

use pavane::{Config, Saga};
use pavane_bus::{
    JetStream,
    jetstream::{self, Start},
    topology::DECLARATIONS_STREAM,
};
use pavane_choreography::Declaration;
use pavane_testkit::servers::{Nats, NatsOptions, Tools};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::stage::{Cancelled, Script, Started, Won, service};

/// Runs the stage's service while `meanwhile` does.
async fn run_while(config: Config, meanwhile: impl AsyncFnOnce()) {
    let saga = Saga::new("stage").starts_with::<Started>().completes_with::<Won>().aborts_with::<Cancelled>();
    let app = service(Arc::new(Script::default())).saga(saga).connect(config).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(app.run_until(async move { drop(stopped.await) }));
    Box::pin(meanwhile()).await;
    drop(stop);
    tokio::time::timeout(Duration::from_secs(10), running).await.expect("stops at once").unwrap().unwrap();
}

fn config(nats: &Nats, folder: &TempDir) -> Config {
    Config::new(nats.url()).database(format!("sqlite:{}", folder.path().join("stage.db").display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_service_leaves_its_declaration_at_the_bus() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let folder = TempDir::new().unwrap();
    let config = config(&nats, &folder);
    let expected = service(Arc::new(Script::default())).declaration(&config);
    let bus = JetStream::connect(jetstream::Config::new(nats.url(), "looker")).await.unwrap();
    run_while(config, async || {
        while bus.stream_report(DECLARATIONS_STREAM).await.unwrap().is_none_or(|bucket| bucket.messages == 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let mut reader = bus.read(DECLARATIONS_STREAM, &[], Start::First).await.unwrap();
    let stored = reader.next(1).await.unwrap().remove(0);
    assert_eq!(stored.message.subject, "$KV.PAVANE_MANIFESTS.stage");
    let declared: Declaration = serde_json::from_slice(&stored.message.payload).unwrap();
    assert_eq!(declared.manifest, expected.manifest);
    assert_eq!(declared.settings, expected.settings);
    assert_eq!(declared.settings.reactions["step"].durable, "stage_step");
    assert_eq!(declared.sagas.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_may_not_declare_itself_runs_all_the_same() {
    let options = NatsOptions {
        config: r#"authorization { users: [
            { user: admin, password: admin }
            { user: stage, password: stage, permissions: {
                publish: { deny: [ "$KV.>", "$JS.API.STREAM.CREATE.KV_PAVANE_MANIFESTS" ] } } } ] }"#
            .to_owned(),
        ..NatsOptions::default()
    };
    let nats = Nats::start_with(&Tools::from_env(), options).await.unwrap();
    let folder = TempDir::new().unwrap();
    let mut config = config(&nats, &folder);
    config.nats.login = Some(jetstream::Login::User("stage".to_owned(), "stage".to_owned()));
    let mut looker = jetstream::Config::new(nats.url(), "looker");
    looker.login = Some(jetstream::Login::User("admin".to_owned(), "admin".to_owned()));
    let bus = JetStream::connect(looker).await.unwrap();
    run_while(config, async || {
        // Its consumers are there, and somebody is at them.
        let attended = async || {
            let consumers = bus.consumer_reports("EVENTS").await.unwrap();
            !consumers.is_empty() && consumers.iter().all(|consumer| consumer.waiting_pulls > 0)
        };
        while !attended().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(bus.stream_report(DECLARATIONS_STREAM).await.unwrap().is_none());
    })
    .await;
}
