//! `docker/nats.conf` gives each service what its wiring table needs, and no more; and the shop runs on that.

mod everything;
mod wire;

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use demo::scenario::Scenario;
use futures_util::FutureExt as _;
use pavane::{Envelope, Key, SagaId};
use pavane_bus::{
    Bus as _, JetStream, Outgoing, Topology,
    jetstream::{Config, Login, Start},
    topology::{AUDIT, DEAD_LETTERS, DECLARATIONS_STREAM, EVENTS},
};
use pavane_choreography::Manifest;
use pavane_contract::{
    Cause, Clock as _, EventId, EventRef, Meta, SystemClock,
    codec::{self, Headers},
    subject,
};
use pavane_testkit::servers::{Nats, NatsOptions, Process, ProcessOptions, Tools};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    command::pavane,
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
        format!("wake.{service}"),
        format!("$KV.PAVANE_MANIFESTS.{service}"),
        format!("$JS.API.STREAM.CREATE.{DECLARATIONS_STREAM}"),
        format!("$JS.API.STREAM.MSG.GET.{EVENTS}"),
        format!("$JS.API.STREAM.MSG.GET.{DEAD_LETTERS}"),
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

/// What who observes needs, and may decide.
fn needed_to_observe(user: &str) -> BTreeSet<String> {
    let requests = ["INFO", "STREAM.INFO.*", "STREAM.MSG.GET.*", "CONSUMER.LIST.EVENTS"];
    let decisions = ["STREAM.CREATE.AUDIT", "STREAM.MSG.DELETE.DEAD_LETTERS"];
    let mut needed: BTreeSet<String> = ["redrive.>", "audit.>"].map(str::to_owned).into();
    needed.insert(format!("_INBOX_{user}.>"));
    needed.extend(requests.into_iter().chain(decisions).map(|request| format!("$JS.API.{request}")));
    needed
}

#[test]
fn who_observes_may_do_what_that_needs_and_no_more() {
    for user in ["monitor", "pavane"] {
        assert_eq!(allowed(&configuration(), user), needed_to_observe(user), "{user}");
    }
}

/// A shop on a server with these users.
async fn guarded(configuration: &str) -> House {
    let config = configuration[configuration.find("authorization").unwrap()..].to_owned();
    let options = NatsOptions { config, ..NatsOptions::default() };
    let nats = Nats::start_with(&Tools::from_env(), options).await.unwrap();
    House::start_on(nats, On::Sqlite, |service| as_user(service).to_vec()).await
}

fn as_user(user: &str) -> [(&str, &str); 2] {
    [("NATS_USER", user), ("NATS_PASSWORD", user)]
}

/// A connection as this user, under the name that the user's programs have.
async fn connected(house: &House, user: &str) -> JetStream {
    connected_to(&house.nats, user).await
}

async fn connected_to(nats: &Nats, user: &str) -> JetStream {
    let mut config = Config::new(nats.url(), user);
    config.login = Some(Login::User(user.to_owned(), user.to_owned()));
    JetStream::connect(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_runs_with_these_permissions_and_can_be_watched() {
    let house = guarded(&configuration()).await;
    order_and_audit(&house.shop, vec![Scenario::Confirmed, Scenario::NoCarrier, Scenario::CaptureFails]).await;
    let bus = connected(&house, "monitor").await;
    let consumers = bus.consumer_reports(EVENTS).await.unwrap();
    assert_eq!(consumers.len(), manifests().iter().map(|manifest| manifest.reactions.len()).sum::<usize>());
    until("all services are declared", async || {
        let bucket = bus.stream_report(DECLARATIONS_STREAM).await.unwrap()?;
        (bucket.messages == 5).then_some(())
    })
    .await;
    let mut events = bus.read(EVENTS, &[], Start::First).await.unwrap();
    assert!(!events.next(10).await.unwrap().is_empty());
    bus.provision_audit().await.unwrap();
    assert!(bus.server_report().await.unwrap().streams >= 3);
    for manifest in manifests() {
        instances_wake_one_another(&house, &manifest.service).await;
    }
}

/// As this user, and as nobody else.
async fn instances_wake_one_another(house: &House, service: &str) {
    let (bus, other) = (connected(house, service).await, connected(house, service).await);
    let mut wakes = other.listen(service).await.unwrap();
    let mut foreign = connected(house, "monitor").await.listen(service).await.unwrap();
    let heard = async {
        while wakes.next().now_or_never().is_none() {
            bus.wake(service).await.unwrap();
            // By then the server has passed it on.
            bus.stream_state().await.unwrap();
            other.stream_state().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await.expect("the other instance hears no wake");
    assert!(foreign.next().now_or_never().is_none(), "the monitor hears the wakes of {service}");
}

/// What only somebody who decides may do. The users who only look are as the others, without these lines.
const DECIDES: [&str; 2] =
    [r#""redrive.>", "audit.>""#, r#""$JS.API.STREAM.CREATE.AUDIT", "$JS.API.STREAM.MSG.DELETE.DEAD_LETTERS""#];

/// The configuration with one more user, which may do what another one may, but not decide.
fn with_one_who_looks(configuration: &str, like: &str, name: &str) -> String {
    let head = format!("{{ user: {like}, password: {like},");
    let start = configuration.find(&head).unwrap();
    let end = start + configuration[start..].find("] } } }").unwrap() + "] } } }".len();
    let mut looks = configuration[start..end].replace(&head, &format!("{{ user: {name}, password: {name},"));
    for line in DECIDES {
        assert!(looks.contains(line), "{like} may not decide");
        looks = looks.replace(line, "");
    }
    format!("{}{looks}\n{}", &configuration[..start], &configuration[start..])
}

/// Orders that payment can't read, so that it gives up on each at once.
async fn dead_letters(house: &House, count: u64) {
    let bus = connected(house, "admin").await;
    for _ in 0..count {
        let (id, saga) = (EventId::new(&SystemClock), SagaId::new(&SystemClock));
        let event = EventRef { name: "order.placed".to_owned(), version: 1 };
        let key = Key::from(saga.as_uuid());
        let subject = subject::of(&event, &key);
        let cause = Cause::new(saga, SystemClock.now());
        let meta = Meta { id, event, key, source: "order".to_owned(), time: SystemClock.now(), cause };
        let headers = codec::encode(&Envelope { meta: meta.into(), body: () });
        let payload = r#"{"order_id":7}"#.into();
        bus.publish(vec![Outgoing { subject, headers, payload, message_id: id.to_string() }]).await.remove(0).unwrap();
    }
    until("payment to give up", async || {
        (bus.stream_report(DEAD_LETTERS).await.unwrap()?.messages == count).then_some(())
    })
    .await;
}

/// A monitor where somebody may act.
async fn monitor(house: &House, user: &str) -> Process {
    let own = [("NATS_URL", house.nats.url()), ("MONITOR_TOKENS", format!("Ada:{TOKEN}"))]
        .map(|(name, it)| (name.to_owned(), it));
    let user = as_user(user).map(|(name, it)| (name.to_owned(), it.to_owned()));
    let options = ProcessOptions { environment: [own, user].concat(), arguments: Vec::new() };
    Process::start("monitor", options).await.unwrap()
}

const TOKEN: &str = "correct-horse-battery";

async fn act(monitor: &Process, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = reqwest::Client::new().post(format!("{}{path}", monitor.url())).bearer_auth(TOKEN).json(body);
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

/// A redrive at the monitor, until it has ended.
async fn redriven(monitor: &Process, letter: u64) -> Value {
    let wanted = json!({ "selection": { "sequences": [letter] }, "reason": "because" });
    let started = until("the monitor to know the letter", async || {
        let (status, started) = act(monitor, "/api/redrives", &wanted).await;
        (status != StatusCode::NOT_FOUND).then_some((status, started))
    });
    let (status, started) = started.await;
    assert_eq!(status, StatusCode::ACCEPTED, "{started}");
    let url = format!("{}/api/redrives/{}", monitor.url(), started["id"]);
    until("the redrive to end", async || {
        let request = reqwest::Client::new().get(&url).bearer_auth(TOKEN);
        let redrive: Value = request.send().await.unwrap().json().await.unwrap();
        (redrive["progress"]["finished"] == true).then(|| redrive["progress"].clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_may_decide_redrives_and_discards_and_no_other_does() {
    let configuration = with_one_who_looks(&configuration(), "monitor", "monitor-looks");
    let house = guarded(&with_one_who_looks(&configuration, "pavane", "pavane-looks")).await;
    dead_letters(&house, 4).await;
    let admin = connected(&house, "admin").await;
    let decisions = async || admin.stream_report(AUDIT).await.unwrap().map_or(0, |report| report.messages);

    let looks = monitor(&house, "monitor-looks").await;
    let progress = redriven(&looks, 1).await;
    assert_eq!((&progress["redriven"], &progress["finished"]), (&0.into(), &true.into()), "{progress}");
    let discard = json!({ "selection": { "sequences": [2] }, "reason": "because" });
    let (_, outcome) = act(&looks, "/api/discards", &discard).await;
    for why in [&progress["error"], &outcome["error"]] {
        assert!(why.as_str().unwrap().contains("ermission"), "{why} does not say why");
    }
    assert_eq!(outcome["discarded"], 0);
    for what in ["redrive", "discard"] {
        let arguments = ["dead-letters", what, "1", "--reason", "because", "--patience", "2"];
        let ran = pavane(&house.nats.url(), &as_user("pavane-looks"), &arguments).await;
        assert_ne!(ran.code, 0, "{ran:?}");
        assert!((ran.err + &ran.out).contains("ermission"), "it does not say why");
    }
    assert_eq!((decisions().await, admin.stream_report(DEAD_LETTERS).await.unwrap().unwrap().messages), (0, 4));

    let decides = monitor(&house, "monitor").await;
    let progress = redriven(&decides, 1).await;
    assert_eq!((&progress["redriven"], &progress["failed"]), (&1.into(), &0.into()), "{progress}");
    let (status, outcome) = act(&decides, "/api/discards", &discard).await;
    assert_eq!((status, &outcome["discarded"]), (StatusCode::OK, &1.into()), "{outcome}");
    for (what, letter) in [("redrive", "3"), ("discard", "4")] {
        let arguments = ["dead-letters", what, letter, "--reason", "because"];
        let ran = pavane(&house.nats.url(), &as_user("pavane"), &arguments).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    }
    assert_eq!(decisions().await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_decides_may_do_nothing_else() {
    let house = guarded(&configuration()).await;
    dead_letters(&house, 1).await;
    for user in ["monitor", "pavane"] {
        let bus = connected(&house, user).await;
        for subject in ["events.order.placed.1", "dead.order.track-progress.events.order.placed.1"] {
            let (subject, message_id) = (subject.to_owned(), user.to_owned());
            let message = Outgoing { subject, headers: Headers::default(), payload: "{}".into(), message_id };
            let refused = bus.publish(vec![message]).await.remove(0).unwrap_err().to_string();
            assert!(refused.contains("ermission"), "{user}: {refused}");
        }
        let declared = bus.declare(&Topology::default(), "order", "{}".into()).await;
        let deleted = bus.delete_stored(EVENTS, 1).await;
        for refused in [declared.unwrap_err().to_string(), deleted.unwrap_err().to_string()] {
            assert!(refused.contains("ermission"), "{user}: {refused}");
        }
    }
}
