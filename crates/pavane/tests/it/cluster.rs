//! Starting on a cluster of NATS servers that isn't ready yet.

use std::time::Duration;

use pavane::{
    Config, Envelope, Handled,
    any::{Service, Tx},
    on,
};
use pavane_bus::{Bus as _, ConsumerConfig, Error, JetStream, jetstream};
use pavane_testkit::servers::{NatsCluster, Tools};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::stage::{Cancelled, Started, Stepped};

async fn started((): &(), _: &mut Tx, _: &Envelope<Started>) -> Handled {
    Ok(())
}

async fn stepped((): &(), _: &mut Tx, _: &Envelope<Stepped>) -> Handled {
    Ok(())
}

async fn cancelled((): &(), _: &mut Tx, _: &Envelope<Cancelled>) -> Handled {
    Ok(())
}

fn service(name: &str) -> Service<()> {
    Service::new(name, ()).react("one", on(started)).react("two", on(stepped)).react("three", on(cancelled))
}

fn config(nats: String, folder: &TempDir, name: &str) -> Config {
    let mut config =
        Config::new(nats).database(format!("sqlite:{}", folder.path().join(format!("{name}.db")).display()));
    config.topology.replicas = 3;
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn five_services_start_at_once_on_a_cluster_that_is_forming() {
    let folder = TempDir::new().unwrap();
    let cluster = NatsCluster::start(&Tools::from_env()).await.unwrap();
    let mut starting = JoinSet::new();
    for name in ["order", "payment", "inventory", "shipping", "notification"] {
        starting.spawn(service(name).connect(config(cluster.url(), &folder, name)));
    }
    while let Some(started) = starting.join_next().await {
        drop(started.unwrap().unwrap());
    }
}

/// Two of three servers stand still, so that nobody can be the leader.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_starts_although_the_cluster_has_no_leader_for_a_while() {
    let folder = TempDir::new().unwrap();
    let mut cluster = NatsCluster::start(&Tools::from_env()).await.unwrap();
    drop(service("early").connect(config(cluster.url(), &folder, "early")).await.unwrap());
    let [awake, paused @ ..] = cluster.servers() else { panic!("no servers") };
    let mut looker = jetstream::Config::new(awake.url(), "looker");
    looker.request_timeout = Duration::from_secs(3);
    let looker = JetStream::connect(looker).await.unwrap();
    for server in &mut *paused {
        server.pause();
    }
    // The signals take a moment.
    refused(&looker, "paused").await;
    let starting = tokio::spawn(service("late").connect(config(awake.url(), &folder, "late")));
    // Its first attempt has failed by then: it began before the second of these, and needs the same.
    refused(&looker, "first").await;
    refused(&looker, "second").await;
    for server in paused {
        server.resume();
    }
    drop(starting.await.unwrap().unwrap());
}

/// Asks for consumers, a new one each time, until the cluster can't make one.
async fn refused(bus: &JetStream, name: &str) {
    for number in 0..100 {
        let consumer = ConsumerConfig {
            durable: format!("{name}-{number}"),
            filter_subjects: vec!["events.order.>".to_owned()],
            ack_wait: Duration::from_secs(30),
            max_ack_pending: 1,
        };
        match bus.subscribe(&consumer).await {
            Ok(_) => {}
            Err(Error::Unavailable(_)) => return,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the cluster makes consumers without a leader");
}
