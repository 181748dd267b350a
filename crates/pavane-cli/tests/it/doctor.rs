//! `doctor`: silent where all is well, and clear where something is broken.

use std::{collections::BTreeSet, time::Duration};

use pavane_bus::{Bus, ConsumerConfig};
use serde_json::{Value, json};

use crate::{
    command::{Ran, assert_said, pavane},
    stage::{COMPENSATED, CONFIRMED, Stage, consumers},
};

/// What is found, by severity.
fn found(ran: &Ran) -> BTreeSet<(String, String)> {
    let json = ran.json();
    let checks = json["checks"].as_array().unwrap();
    let findings = checks.iter().flat_map(|check| check["findings"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    findings.map(|finding| (text(&finding["severity"]), text(&finding["what"]))).collect()
}

fn has(ran: &Ran, severity: &str, what: &str) {
    let found = found(ran);
    assert!(found.iter().any(|(is, text)| is == severity && text.contains(what)), "{severity}: {what}: {found:#?}");
}

#[tokio::test]
async fn a_sound_deployment_has_nothing_but_a_remark() {
    let stage = Stage::open().await;
    stage.order(CONFIRMED).await;
    stage.order(COMPENSATED).await;
    stage.settled().await;
    let ran = pavane(&stage.url(), &["doctor", "--json"]).await;
    let found = found(&ran);
    assert_eq!(ran.code, 0, "{found:#?}");
    assert_eq!(found.len(), 1, "{found:#?}");
    has(&ran, "remark", "the streams have one replica");
}

#[tokio::test]
async fn a_service_that_is_away_is_named() {
    let stage = Stage::recorded().await;
    let ran = pavane(&stage.url(), &["doctor"]).await;
    assert_eq!(ran.code, 1);
    assert_said!(ran.out);
}

#[tokio::test]
async fn what_expired_before_a_service_that_is_away_read_it_is_counted() {
    let stage = Stage::recorded().await;
    let last = stage.bus.stream_state().await.unwrap().last_sequence;
    let read_to = stage.bus.consumer_position("shipping_create-shipment").await.unwrap().unwrap().read_to();
    let mut config = api(&stage, "STREAM.INFO.EVENTS", &json!({})).await["config"].clone();
    (config["max_age"], config["duplicate_window"]) = (json!(100_000_000), json!(100_000_000));
    api(&stage, "STREAM.UPDATE.EVENTS", &config).await;
    while stage.bus.stream_state().await.unwrap().first_sequence <= last {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ran = pavane(&stage.url(), &["doctor", "--json"]).await;
    assert_eq!(ran.code, 1);
    let missed = last - read_to;
    has(&ran, "fault", &format!("up to {missed} events expired before shipping/create-shipment read them"));
    assert!(found(&ran).iter().all(|(_, what)| !what.contains("before payment")), "who is there has read all");
}

#[tokio::test]
async fn missing_renamed_and_foreign_consumers_are_told_apart() {
    let mut stage = Stage::empty().await;
    for service in ["order", "payment", "inventory", "shipping", "notification"] {
        stage.declare(service).await;
        if service != "notification" {
            stage.attend(service).await;
        }
    }
    let (_, reserve) = consumers(&stage.declarations["inventory"]).remove(0);
    let renamed = ConsumerConfig { durable: "inventory_set-aside".to_owned(), ..reserve.clone() };
    let removed = ConsumerConfig {
        durable: "inventory_count-stock".to_owned(),
        filter_subjects: vec!["events.inventory.counted.*".to_owned()],
        ..reserve.clone()
    };
    let foreign = ConsumerConfig { durable: "warehouse".to_owned(), ..removed.clone() };
    for consumer in [&renamed, &removed, &foreign] {
        drop(stage.bus.subscribe(consumer).await.unwrap());
    }
    let ran = pavane(&stage.url(), &["doctor", "--json"]).await;
    assert_eq!(ran.code, 1);
    has(&ran, "fault", "notification/send-confirmation is declared, and its consumer notification_send-confirmation");
    has(&ran, "fault", "notification/send-cancellation is declared");
    has(&ran, "risk", "inventory_set-aside listens to the same events as inventory/reserve-stock");
    has(&ran, "risk", "inventory_count-stock belongs to inventory, which declares no such reaction");
    has(&ran, "risk", "warehouse belongs to no service");
    assert_eq!(found(&ran).len(), 6, "{:#?}", found(&ran));
}

#[tokio::test]
async fn streams_that_lose_events_are_faults() {
    let stage = Stage::empty().await;
    for stream in ["EVENTS", "DEAD_LETTERS"] {
        let deleted = api(&stage, &format!("STREAM.DELETE.{stream}"), &json!({})).await;
        assert_eq!(deleted["success"], true, "{deleted}");
    }
    let day: u64 = 86_400_000_000_000;
    let events = json!({ "name": "EVENTS", "subjects": ["events.>"], "storage": "memory", "retention": "limits",
        "discard": "old", "max_age": 60 * day, "duplicate_window": 60_000_000_000_u64, "num_replicas": 1 });
    api(&stage, "STREAM.CREATE.EVENTS", &events).await;
    stage.declare("order").await;
    let ran = pavane(&stage.url(), &["doctor", "--json"]).await;
    assert_eq!(ran.code, 1);
    has(&ran, "fault", "EVENTS is kept in memory");
    has(&ran, "fault", "EVENTS drops old messages");
    has(&ran, "fault", "EVENTS does not take redrive.>");
    has(&ran, "fault", "there is no stream DEAD_LETTERS");
    let dead = json!({ "name": "DEAD_LETTERS", "subjects": ["dead.>"], "storage": "file", "retention": "limits",
        "discard": "new", "max_age": day, "num_replicas": 1 });
    api(&stage, "STREAM.CREATE.DEAD_LETTERS", &dead).await;
    let ran = pavane(&stage.url(), &["doctor", "--json"]).await;
    has(&ran, "fault", "order remembers for 45 days what it has handled");
    has(&ran, "risk", "DEAD_LETTERS keeps messages for 24 h, order wants 30 days");
    has(&ran, "remark", "duplicates are recognised for 60 s, a service wants 2 min");
}

#[tokio::test]
async fn a_consumer_that_is_not_as_it_must_be_is_a_fault() {
    let stage = Stage::empty().await;
    stage.declare("notification").await;
    let config = json!({ "stream_name": "EVENTS", "config": { "durable_name": "notification_send-confirmation",
        "ack_policy": "explicit", "deliver_policy": "new", "max_deliver": 3, "ack_wait": 5_000_000_000_u64,
        "filter_subjects": ["events.order.confirmed.*"], "max_ack_pending": -1 } });
    api(&stage, "CONSUMER.DURABLE.CREATE.EVENTS.notification_send-confirmation", &config).await;
    let ran = pavane(&stage.url(), &["doctor", "--json"]).await;
    has(&ran, "fault", "delivers new, not all");
    has(&ran, "fault", "delivers an event 3 times at most");
    has(&ran, "risk", "waits 5.0 s for a heartbeat, the service believes 30 s");
    has(&ran, "risk", "may have any number of events in hand");
    has(&ran, "fault", "nobody takes events for notification (0 pending)");
}

#[tokio::test]
async fn the_servers_monitoring_tells_how_often_it_syncs() {
    let port = pavane_testkit::servers::free_port().unwrap();
    let stage = Stage::with(&format!("http: 127.0.0.1:{port}"), None).await;
    stage.declare("order").await;
    let monitoring = format!("http://127.0.0.1:{port}");
    let ran = pavane(&stage.url(), &["doctor", "--json", "--monitoring", &monitoring]).await;
    has(&ran, "risk", "the server syncs to its disk every 2 min");
    let port = pavane_testkit::servers::free_port().unwrap();
    let always = Stage::with(&format!("http: 127.0.0.1:{port}"), Some("always")).await;
    always.declare("order").await;
    let monitoring = format!("http://127.0.0.1:{port}");
    let ran = pavane(&always.url(), &["doctor", "--json", "--monitoring", &monitoring]).await;
    assert!(found(&ran).iter().all(|(_, what)| !what.contains("sync")), "{ran:?}");
    let silent = pavane(&always.url(), &["doctor", "--json", "--monitoring", "http://127.0.0.1:1"]).await;
    has(&silent, "risk", "http://127.0.0.1:1 does not answer");
}

#[tokio::test]
async fn a_user_who_may_only_look_is_told_so() {
    let user = |name: &str, more: &str| {
        let look = "$JS.API.INFO, $JS.API.STREAM.INFO.>, $JS.API.STREAM.MSG.GET.>, $JS.API.CONSUMER.CREATE.>, \
                    $JS.API.CONSUMER.MSG.NEXT.>";
        let look: Vec<_> = look.split(", ").chain((!more.is_empty()).then_some(more)).collect();
        let permissions = format!("{{ publish: {look:?}, subscribe: \"_INBOX_pavane.>\" }}");
        format!("{{ user: {name}, password: {name}, permissions: {permissions} }}")
    };
    let (looker, half) = (user("looker", "$JS.API.CONSUMER.LIST.EVENTS"), user("half", ""));
    let config = format!(
        "authorization {{ users [ {{ user: stage, password: stage }}, {looker}, {half} ] }}\nno_auth_user: stage"
    );
    let mut stage = Stage::with(&config, None).await;
    for service in ["order", "payment", "inventory", "shipping", "notification"] {
        stage.declare(service).await;
        stage.attend(service).await;
    }
    stage.order(CONFIRMED).await;
    stage.settled().await;
    let as_user =
        |what: &'static str, name: &'static str| ["--json", "--nats-user", name, "--nats-password", name, what];
    let ran = pavane(&stage.url(), &as_user("doctor", "looker")).await;
    assert_eq!((ran.code, found(&ran).len()), (0, 2), "{ran:?}");
    has(&ran, "remark", "may look at dead letters, but not delete them");
    // What is for looking is enough for every command that only looks.
    for what in ["stuck", "map", "verify"] {
        assert_eq!(pavane(&stage.url(), &as_user(what, "looker")).await.code, 0, "{what}");
    }
    let ran = pavane(&stage.url(), &as_user("doctor", "half")).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    has(&ran, "risk", "$JS.API.CONSUMER.LIST.EVENTS");
    assert_eq!(found(&ran).len(), 3, "what is not seen is not missing: {ran:?}");
}

/// Asks the server's JetStream interface as any client does.
async fn api(stage: &Stage, what: &str, request: &Value) -> Value {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    let url = stage.url();
    let stream = tokio::net::TcpStream::connect(url.trim_start_matches("nats://")).await.unwrap();
    let mut stream = BufReader::new(stream);
    let body = request.to_string();
    let asked = format!(
        "CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\nPUB $JS.API.{what} answer {}\r\n{body}\r\n",
        body.len()
    );
    stream.write_all(asked.as_bytes()).await.unwrap();
    let answered = async {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            if let Some(rest) = line.strip_prefix("MSG ") {
                let size = rest.split_whitespace().last().unwrap().parse().unwrap();
                let mut body = vec![0; size];
                stream.read_exact(&mut body).await.unwrap();
                return serde_json::from_slice(&body).unwrap();
            }
        }
    };
    let answer: Value = tokio::time::timeout(Duration::from_secs(10), answered).await.unwrap();
    assert!(answer.get("error").is_none(), "{what}: {answer}");
    answer
}
