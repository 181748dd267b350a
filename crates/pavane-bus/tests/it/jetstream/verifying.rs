//! Accounts that others own: nothing is created there, or each stream needs a limit.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use pavane_bus::{Bus, ConsumerConfig, Error, JetStream, Topology, jetstream::Bucket};

use super::{RealServer, consumer, message, receive_one, start, start_with};

/// A service of a team whose operators own the streams.
async fn verifying(server: &RealServer) -> JetStream {
    let mut config = server.config();
    config.verify_only = true;
    JetStream::connect(config).await.unwrap()
}

async fn streams(server: &RealServer) -> Vec<String> {
    server.raw().await.stream_names().try_collect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_named_with_what_creates_it_and_not_created() {
    let server = start().await;
    let bus = verifying(&server).await;
    let error = bus.provision(&Topology::default()).await.unwrap_err();
    let Error::Missing { what, command } = &error else { panic!("{error}") };
    assert_eq!(what, "the stream EVENTS");
    assert!(
        command.starts_with("nats stream add EVENTS")
            && command.contains("--subjects 'events.>,redrive.>' --max-age 604800s"),
        "{command}"
    );
    for error in [
        bus.declare(&Topology::default(), "order", "{}".into()).await.unwrap_err(),
        bus.provision_audit().await.unwrap_err(),
        Bucket::open(bus.clone(), "claims", Duration::from_hours(1)).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Missing { .. }), "{error}");
    }
    assert_eq!(streams(&server).await, Vec::<String>::new());

    server.provisioned().await;
    bus.provision(&Topology::default()).await.unwrap();
    let error = bus.subscribe(&consumer(Duration::from_mins(1))).await.map(drop).unwrap_err();
    let Error::Missing { what, command } = &error else { panic!("{error}") };
    assert_eq!(what, "the consumer worker");
    assert_eq!(
        command,
        "nats consumer add EVENTS worker --pull --deliver all --ack explicit --replay instant --max-deliver=-1 \
         --filter 'events.order.>' --wait 60s --max-pending 1000 --defaults"
    );
    assert!(bus.consumer_reports("EVENTS").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_differs_is_told_with_the_fix_and_stays_as_it_is() {
    let server = start().await;
    let operator = server.provisioned().await;
    let (wanted, mut longer) = (consumer(Duration::from_mins(1)), Topology::default());
    operator.subscribe(&wanted).await.unwrap();
    longer.max_age = Duration::from_hours(8 * 24);
    let bus = verifying(&server).await;
    let Err(Error::Differs { what, difference }) = bus.provision(&longer).await else { panic!("accepted") };
    assert_eq!(what, "the stream EVENTS");
    for part in ["max_age is 604800s, wanted 691200s", "nats stream edit EVENTS", "--max-age 691200s"] {
        assert!(difference.contains(part), "{part:?} is missing in {difference:?}");
    }
    let slower = ConsumerConfig { ack_wait: Duration::from_mins(2), ..wanted };
    let Err(Error::Differs { what, difference }) = bus.subscribe(&slower).await.map(drop) else { panic!("accepted") };
    assert_eq!(what, "the consumer worker");
    for part in ["ack_wait is 60s, wanted 120s", "nats consumer edit EVENTS worker", "--wait 120s"] {
        assert!(difference.contains(part), "{part:?} is missing in {difference:?}");
    }
    let events = bus.stream_report("EVENTS").await.unwrap().unwrap();
    let worker = bus.consumer_reports("EVENTS").await.unwrap().remove(0);
    assert_eq!((events.max_age, worker.ack_wait), (Topology::default().max_age, Duration::from_mins(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_order_is_used() {
    let server = start().await;
    let operator = server.provisioned().await;
    operator.subscribe(&consumer(Duration::from_mins(1))).await.unwrap();
    operator.provision_declarations(&Topology::default()).await.unwrap();
    Bucket::open(operator, "claims", Duration::from_hours(1)).await.unwrap();
    let bus = verifying(&server).await;
    bus.provision(&Topology::default()).await.unwrap();
    bus.declare(&Topology::default(), "order", "{}".into()).await.unwrap();
    bus.publish(vec![message(1)]).await.remove(0).unwrap();
    let mut subscription = bus.subscribe(&consumer(Duration::from_mins(1))).await.unwrap();
    receive_one(&mut subscription).await.ack().await.unwrap();
    let claims = Bucket::open(bus, "claims", Duration::from_hours(1)).await.unwrap();
    claims.put("7", 0, "mine".into()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_requires_limits_is_given_them() {
    let server = start_with(
        "accounts { SHOP { users: [ { user: a, password: a } ]
            jetstream { max_file: 1G, max_mem: 0, max_bytes_required: true } } }\nno_auth_user: a",
    )
    .await;
    let bus = JetStream::connect(server.config()).await.unwrap();
    let mut topology = Topology::default();
    for expected in ["PAVANE_MAX_BYTES", "PAVANE_DEAD_LETTER_MAX_BYTES"] {
        let Err(Error::Setting { setting, why, .. }) = bus.provision(&topology).await else { panic!("accepted") };
        assert_eq!(setting, expected);
        assert!(why.contains("requires a limit"), "{why}");
        topology.max_bytes = Some(200 << 20);
    }
    topology.dead_letter_max_bytes = Some(100 << 20);
    bus.provision(&topology).await.unwrap();
    bus.declare(&topology, "order", "{}".into()).await.unwrap();
    bus.provision_audit().await.unwrap();
    bus.publish(vec![message(1)]).await.remove(0).unwrap();
    let dead_letters = bus.stream_report("DEAD_LETTERS").await.unwrap().unwrap();
    assert_eq!(dead_letters.max_bytes, Some(100 << 20));
    // A bucket of the user's own is the user's to limit.
    let error = Bucket::open(bus.clone(), "claims", Duration::from_hours(1)).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("nats kv add claims --max-bucket-size"), "{error}");
    let claims = async_nats::jetstream::kv::Config {
        bucket: "claims".to_owned(),
        history: 1,
        max_age: Duration::from_hours(1),
        max_bytes: 1 << 20,
        ..Default::default()
    };
    server.raw().await.create_key_value(claims).await.unwrap();
    let claims = Bucket::open(bus, "claims", Duration::from_hours(1)).await.unwrap();
    claims.put("7", 0, "mine".into()).await.unwrap().unwrap();
}
