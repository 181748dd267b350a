//! Events that expire before they are read are lost, and a service that was away for too long says so.

use std::time::Duration;

use pavane::{
    Config, Envelope, Handled, SagaId,
    any::{App, Service, Tx},
    on,
};
use pavane_bus::{Bus as _, JetStream, Outgoing};
use pavane_contract::{EventId, SystemClock, codec, subject};
use pavane_testkit::servers::{Nats, Postgres, Tools};
use tokio::sync::oneshot;

use crate::stage::{Started, envelope, until};

type Stage = App<(), JetStream>;

async fn step((): &(), _: &mut Tx, _: &Envelope<Started>) -> Handled {
    Ok(())
}

async fn connected(config: &Config) -> Stage {
    Service::new("stage", ()).react("step", on(step)).connect(config.clone()).await.unwrap()
}

/// Runs it until `condition` holds.
async fn run_until<F: Future<Output = bool>>(app: Stage, condition: impl Fn() -> F) {
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(app.run_until(async move { drop(stopped.await) }));
    until("the stage to get there", || async { condition().await.then_some(()) }).await;
    drop(stop);
    running.await.unwrap().unwrap();
}

async fn publish(bus: &JetStream, events: usize) {
    let event = |_| {
        let event = envelope(EventId::new(&SystemClock), SagaId::new(&SystemClock), &Started { key: "any".to_owned() });
        let subject = subject::of(&event.meta.event, &event.meta.key);
        let message_id = event.meta.id.to_string();
        Outgoing { subject, headers: codec::encode(&event), payload: event.body, message_id }
    };
    for stored in bus.publish((0..events).map(event).collect()).await {
        stored.unwrap();
    }
}

async fn expired(bus: &JetStream) {
    until("all events to expire", || async {
        let state = bus.stream_state().await.unwrap();
        (state.first_sequence > state.last_sequence).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_away_for_too_long_says_what_it_missed() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let url = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
    let mut config = Config::new(nats.url()).database(url);
    config.topology.max_age = Duration::from_secs(2);
    config.topology.duplicate_window = Duration::from_secs(1);
    config.relay.durability_horizon = Duration::from_secs(1);
    let bus = JetStream::connect(pavane_bus::jetstream::Config::new(nats.url(), "publisher")).await.unwrap();

    let app = connected(&config).await;
    publish(&bus, 2).await;
    let readiness = app.readiness();
    let done = async || bus.consumer_position("stage_step").await.unwrap().unwrap().read_to() >= 2;
    run_until(app, done).await;
    expired(&bus).await;
    assert_eq!(readiness.warnings(), [""; 0]);

    // What it had read may expire.
    let app = connected(&config).await;
    assert_eq!(app.readiness().warnings(), [""; 0]);
    run_until(app, async || true).await;

    publish(&bus, 3).await;
    expired(&bus).await;
    // Two instances notice it, and it is told once.
    let (app, other) = tokio::join!(connected(&config), connected(&config));
    for app in [&app, &other] {
        let readiness = app.readiness();
        let warnings = readiness.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].starts_with("up to 3 events expired in the stream before the reaction \"step\""),
            "{warnings:?}"
        );
        assert_eq!(readiness.missing().await, [""; 0], "it does its work all the same");
    }
    drop(other);
    publish(&bus, 1).await;
    let last = bus.stream_state().await.unwrap().last_sequence;
    let done = async || bus.consumer_position("stage_step").await.unwrap().unwrap().read_to() >= last;
    run_until(app, done).await;

    let app = connected(&config).await;
    let warnings = app.readiness().warnings();
    assert!(warnings.iter().any(|warning| warning.contains("up to 3 events")), "it is told for a while: {warnings:?}");
}
