//! `docker/nats.conf` gives each service what its wiring table needs, and no more; and the shop runs on that.

use std::{collections::BTreeSet, fs, path::Path};

use demo::scenario::Scenario;
use pavane::{
    bus::{
        JetStream,
        jetstream::{Config, Start},
        topology::{DEAD_LETTERS, DECLARATIONS_STREAM, EVENTS},
    },
    choreography::Manifest,
};
use pavane_testkit::servers::{Nats, NatsOptions, Tools};

use crate::{
    house::{House, On, order_and_audit, until},
    invariants::manifests,
};

fn configuration() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker/nats.conf");
    fs::read_to_string(path).unwrap()
}

/// What a user may publish to and subscribe to.
fn allowed(configuration: &str, user: &str) -> BTreeSet<String> {
    let (_, rest) = configuration.split_once(&format!("user: {user},")).unwrap_or_else(|| panic!("no user {user}"));
    let block = rest.split("user:").next().unwrap();
    let code: Vec<&str> = block.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    code.join("\n").split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What a service's wiring table needs.
fn needed(manifest: &Manifest) -> BTreeSet<String> {
    let service = &manifest.service;
    let mut needed: BTreeSet<String> = [
        format!("_INBOX_{service}.>"),
        format!("dead.{service}.>"),
        format!("$KV.PAVANE_MANIFESTS.{service}"),
        format!("$JS.API.STREAM.CREATE.{DECLARATIONS_STREAM}"),
        format!("$JS.API.STREAM.MSG.GET.{EVENTS}"),
    ]
    .into();
    if manifest.emitted().next().is_some() {
        needed.insert(format!("events.{service}.>"));
    }
    for stream in [EVENTS, DEAD_LETTERS] {
        needed.extend(["INFO", "CREATE"].map(|action| format!("$JS.API.STREAM.{action}.{stream}")));
    }
    for reaction in &manifest.reactions {
        let durable = format!("{service}_{}", reaction.name);
        let requests =
            ["INFO", "CREATE", "MSG.NEXT"].map(|action| format!("$JS.API.CONSUMER.{action}.{EVENTS}.{durable}"));
        needed.extend(requests);
        needed.extend([format!("$JS.ACK.{EVENTS}.{durable}.>"), format!("$JS.ACK.*.*.{EVENTS}.{durable}.>")]);
    }
    needed
}

#[test]
fn each_service_may_do_what_its_wiring_table_needs_and_no_more() {
    let configuration = configuration();
    for manifest in manifests() {
        let (allowed, needed) = (allowed(&configuration, &manifest.service), needed(&manifest));
        let missing: Vec<_> = needed.difference(&allowed).collect();
        let surplus: Vec<_> = allowed.difference(&needed).collect();
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "{}: missing {missing:?}, surplus {surplus:?}",
            manifest.service
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_runs_with_these_permissions_and_can_be_watched() {
    let text = configuration();
    let config = text[text.find("authorization").unwrap()..].to_owned();
    let options = NatsOptions { config, ..NatsOptions::default() };
    let nats = Nats::start_with(&Tools::from_env(), options).await.unwrap();
    let as_itself = |service| vec![("NATS_USER", service), ("NATS_PASSWORD", service)];
    let house = House::start_on(nats, On::Sqlite, as_itself).await;
    order_and_audit(&house.shop, vec![Scenario::Confirmed, Scenario::NoCarrier, Scenario::CaptureFails]).await;
    let mut monitor = Config::new(house.nats.url(), "monitor");
    monitor.user = Some(("monitor".to_owned(), "monitor".to_owned()));
    let bus = JetStream::connect(monitor).await.unwrap();
    let consumers = bus.consumer_reports(EVENTS).await.unwrap();
    assert_eq!(consumers.len(), manifests().iter().map(|manifest| manifest.reactions.len()).sum::<usize>());
    until("all services are declared", async || {
        let bucket = bus.stream_report(DECLARATIONS_STREAM).await.unwrap()?;
        (bucket.messages == 5).then_some(())
    })
    .await;
    let mut events = bus.read(EVENTS, &[], Start::First).await.unwrap();
    assert!(!events.next(10).await.unwrap().is_empty());
    bus.provision_audit(1).await.unwrap();
    assert!(bus.server_report().await.unwrap().streams >= 3);
}
