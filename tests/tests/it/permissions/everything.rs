//! Every user against everything that somebody can do: what is not the user's own is refused, and nothing changes by it.

use std::collections::BTreeSet;

use pavane_bus::{
    Bus as _, Topology,
    topology::{AUDIT, DEAD_LETTERS, DECLARATIONS_STREAM, EVENTS},
};
use pavane_choreography::Manifest;
use pavane_testkit::servers::{Nats, NatsOptions, Tools};
use serde_json::{Value, json};

use super::{configuration, connected_to, wire::Wire};
use crate::invariants::manifests;

const STREAMS: [&str; 4] = [EVENTS, DEAD_LETTERS, AUDIT, DECLARATIONS_STREAM];
const OBSERVERS: [&str; 2] = ["monitor", "pavane"];

/// Something that can be asked of the server, and who may.
struct Deed {
    subject: String,
    payload: String,
    /// Nobody else, whatever the server is asked for.
    users: BTreeSet<String>,
}

fn deed(subject: impl Into<String>, payload: impl Into<String>, users: &[&str]) -> Deed {
    let users = users.iter().map(|user| (*user).to_owned()).collect();
    Deed { subject: subject.into(), payload: payload.into(), users }
}

/// What can be said: every event of every service, in each service's name, to each reaction, and about each service.
fn said(manifests: &[Manifest]) -> Vec<Deed> {
    let mut deeds = vec![deed("audit.operator.discarded", "{}", &OBSERVERS)];
    for manifest in manifests {
        let service = manifest.service.as_str();
        let emits = manifest.emitted().next().is_some();
        let own: &[&str] = if emits { &[service] } else { &[] };
        deeds.push(deed(format!("events.{service}.anything.7"), "{}", own));
        deeds.extend(manifest.emitted().map(|event| deed(format!("events.{}.7", event.name), "{}", own)));
        for reaction in &manifest.reactions {
            for event in &reaction.on {
                let address = format!("{service}.{}.events.{}.7", reaction.name, event.name);
                deeds.push(deed(format!("dead.{address}"), "{}", &[service]));
                deeds.push(deed(format!("redrive.{address}"), "{}", &OBSERVERS));
            }
        }
        deeds.push(deed(format!("wake.{service}"), "", &[service]));
        deeds.push(deed(format!("$KV.PAVANE_MANIFESTS.{service}"), "{}", &[service]));
    }
    deeds
}

/// What can be done to each reaction's consumer: also what the server has no answer to.
fn consumers(manifests: &[Manifest]) -> Vec<Deed> {
    let mut deeds = vec![deed(format!("$JS.API.CONSUMER.LIST.{EVENTS}"), "{}", &OBSERVERS)];
    for (manifest, reaction) in manifests.iter().flat_map(|it| it.reactions.iter().map(move |reaction| (it, reaction)))
    {
        let service = manifest.service.as_str();
        let name = format!("{service}_{}", reaction.name);
        let narrowed = |action: &str| {
            let config = json!({ "durable_name": name, "ack_policy": "explicit", "deliver_policy": "all",
                "filter_subjects": ["events.nothing.at-all.*"] });
            json!({ "stream_name": EVENTS, "config": config, "action": action }).to_string()
        };
        let api = |action: &str| format!("$JS.API.CONSUMER.{action}.{EVENTS}.{name}");
        deeds.extend([
            deed(api("INFO"), "{}", &[service]),
            deed(api("CREATE"), narrowed("update"), &[service]),
            deed(api("MSG.NEXT"), "1", &[service]),
            deed(format!("$JS.ACK.{EVENTS}.{name}.1.1.1.1.0"), "+ACK", &[service]),
            deed(format!("$JS.ACK._.hash.{EVENTS}.{name}.1.1.1.1.0"), "+ACK", &[service]),
            deed(format!("{}.events.nothing.at-all.*", api("CREATE")), narrowed("update"), &[]),
            deed(api("DURABLE.CREATE"), narrowed(""), &[]),
            deed(api("DELETE"), "{}", &[]),
            deed(api("PAUSE"), json!({ "pause_until": "2999-01-01T00:00:00Z" }).to_string(), &[]),
            deed(api("RESET"), "{}", &[]),
            deed(api("UNPIN"), json!({ "group": "x" }).to_string(), &[]),
            deed(api("LEADER.STEPDOWN"), "{}", &[]),
        ]);
    }
    deeds
}

/// What can be done to each stream.
fn streams(services: &[&str]) -> Vec<Deed> {
    let observers = OBSERVERS.to_vec();
    let all = [services, &OBSERVERS].concat();
    let mut deeds = vec![
        deed("$JS.API.INFO", "", &OBSERVERS),
        deed("$JS.API.STREAM.NAMES", "{}", &[]),
        deed("$JS.API.STREAM.LIST", "{}", &[]),
        deed("$JS.API.ACCOUNT.PURGE.$G", "{}", &[]),
        deed("$JS.API.STREAM.CREATE.ANOTHER", json!({ "name": "ANOTHER", "subjects": ["another.>"] }).to_string(), &[]),
    ];
    for stream in STREAMS {
        let of_events = [EVENTS, DEAD_LETTERS].contains(&stream);
        let only = |is: bool, users: &[&'static str]| if is { users.to_vec() } else { Vec::new() };
        let creators = if stream == AUDIT { observers.clone() } else { services.to_vec() };
        let api = |action: &str| format!("$JS.API.STREAM.{action}.{stream}");
        let config = json!({ "name": stream, "subjects": ["nothing.at.all"], "max_msgs": 1 });
        let first = json!({ "seq": 1 }).to_string();
        deeds.extend([
            deed(api("INFO"), "", if of_events { &all } else { &observers }),
            deed(api("MSG.GET"), first.as_str(), if of_events { &all } else { &observers }),
            deed(api("CREATE"), config.to_string(), &creators),
            deed(api("MSG.DELETE"), first.as_str(), &only(stream == DEAD_LETTERS, &OBSERVERS)),
            deed(api("UPDATE"), config.to_string(), &[]),
            deed(api("DELETE"), "", &[]),
            deed(api("PURGE"), "{}", &[]),
            deed(api("SNAPSHOT"), json!({ "deliver_subject": "_INBOX_thief" }).to_string(), &[]),
            deed(api("RESTORE"), json!({ "config": config, "state": {} }).to_string(), &[]),
            deed(api("PEER.REMOVE"), json!({ "peer": "x" }).to_string(), &[]),
            deed(api("LEADER.STEPDOWN"), "{}", &[]),
            deed(format!("$JS.API.DIRECT.GET.{stream}"), first.as_str(), &[]),
            deed(format!("$JS.API.DIRECT.GET.{stream}.events.order.placed.7"), "", &[]),
            deed(
                format!("$JS.API.CONSUMER.CREATE.{stream}"),
                json!({ "stream_name": stream, "config": {} }).to_string(),
                &[],
            ),
            deed(format!("$JS.API.CONSUMER.NAMES.{stream}"), "{}", &[]),
            deed(format!("$JS.API.CONSUMER.CREATE.{stream}.thief"), "{}", &[]),
            deed(format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.thief"), "1", &[]),
        ]);
    }
    deeds
}

/// The streams and consumers as they are: everything but when somebody looked.
async fn state(admin: &mut Wire) -> Vec<Value> {
    let mut state = Vec::new();
    for stream in STREAMS {
        state.push(admin.ask(&format!("$JS.API.STREAM.INFO.{stream}"), &json!({})).await);
        state.push(admin.ask(&format!("$JS.API.CONSUMER.LIST.{stream}"), &json!({})).await);
    }
    for answer in &mut state {
        forget_times(answer);
    }
    state
}

fn forget_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("ts");
            fields.values_mut().for_each(forget_times);
        }
        Value::Array(values) => values.iter_mut().for_each(forget_times),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The shop's streams and consumers, each stream with something in it.
async fn shop(manifests: &[Manifest]) -> (Nats, Wire) {
    let configuration = configuration();
    let config = configuration[configuration.find("authorization").unwrap()..].to_owned();
    let nats = Nats::start_with(&Tools::from_env(), NatsOptions { config, ..NatsOptions::default() }).await.unwrap();
    let bus = connected_to(&nats, "admin").await;
    bus.provision(&Topology::default()).await.unwrap();
    bus.provision_audit().await.unwrap();
    bus.declare(&Topology::default(), "order", "{}".into()).await.unwrap();
    let mut admin = Wire::connect(&nats.url(), "admin").await;
    for reaction in manifests.iter().flat_map(|it| it.reactions.iter().map(|reaction| (&it.service, &reaction.name))) {
        let name = format!("{}_{}", reaction.0, reaction.1);
        let config = json!({ "durable_name": name, "ack_policy": "explicit", "filter_subjects": ["events.order.>"] });
        let create = json!({ "stream_name": EVENTS, "config": config, "action": "create" });
        let created = admin.ask(&format!("$JS.API.CONSUMER.CREATE.{EVENTS}.{name}"), &create).await;
        assert!(created["error"].is_null(), "{created}");
    }
    for subject in
        ["events.order.placed.7", "dead.order.confirm-order.events.order.placed.7", "audit.operator.resolved"]
    {
        assert!(admin.ask(subject, &json!({})).await["seq"] == 1, "{subject}");
    }
    (nats, admin)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_is_refused_whatever_is_not_its_own_and_nothing_changes_by_it() {
    let manifests = manifests();
    let services: Vec<&str> = manifests.iter().map(|manifest| manifest.service.as_str()).collect();
    let (nats, mut admin) = shop(&manifests).await;
    let deeds: Vec<Deed> =
        [said(&manifests), consumers(&manifests), streams(&services)].into_iter().flatten().collect();
    let before = state(&mut admin).await;
    let (mut wrongs, mut refused) = (Vec::new(), 0);
    for user in services.iter().chain(&OBSERVERS) {
        let mut wire = Wire::connect(&nats.url(), user).await;
        for Deed { subject, payload, .. } in deeds.iter().filter(|deed| !deed.users.contains(*user)) {
            if wire.is_refused(subject, payload).await {
                refused += 1;
            } else {
                wrongs.push(format!("{user} may {subject}"));
            }
        }
        for subject in [">", "events.>", "dead.>", "$JS.>", "_INBOX.>", "_INBOX_admin.>"] {
            assert!(wire.is_deaf_to(subject).await, "{user} hears {subject}");
        }
        for other in services.iter().chain(&OBSERVERS).filter(|other| *other != user) {
            for subject in [format!("_INBOX_{other}.>"), format!("wake.{other}")] {
                assert!(wire.is_deaf_to(&subject).await, "{user} hears {subject}");
            }
        }
    }
    assert_eq!(wrongs, [""; 0]);
    assert!(refused > 1000, "{refused}");
    assert_eq!(state(&mut admin).await, before, "something changed");
    for user in OBSERVERS {
        let mut wire = Wire::connect(&nats.url(), user).await;
        let asks = deeds.iter().filter(|deed| deed.users.contains(user) && deed.subject.starts_with("$JS.API."));
        for ask in asks {
            // What there is to be deleted stays.
            let payload = if ask.subject.contains("MSG.GET") { ask.payload.as_str() } else { "" };
            for forbidden in deeds.iter().filter(|deed| deed.users.is_empty() && deed.subject.starts_with("$JS.")) {
                wire.have_answered(&ask.subject, &forbidden.subject, payload).await;
            }
        }
    }
    assert_eq!(state(&mut admin).await, before, "an answer of the server did something");
    // What is its own it may: asked for with nothing to do, it changes nothing either.
    for user in services.iter().chain(&OBSERVERS) {
        let mut wire = Wire::connect(&nats.url(), user).await;
        for Deed { subject, .. } in deeds.iter().filter(|deed| deed.users.contains(*user)) {
            assert!(!wire.is_refused(subject, "").await, "{user} may not {subject}");
        }
        if !OBSERVERS.contains(user) {
            assert!(!wire.is_deaf_to(&format!("wake.{user}")).await);
        }
        assert!(!wire.is_deaf_to(&format!("_INBOX_{user}.>")).await);
    }
}
