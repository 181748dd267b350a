use async_nats::jetstream::stream::{Config, StorageType};
use pavane_bus::{Bus, Error, Outgoing, PublishError, Topology, conformance::World};

use super::{message, messages, start, start_with};

#[tokio::test]
async fn the_streams_keep_everything_on_disk() {
    let server = start().await;
    server.provisioned().await;
    let mut stream = server.raw().await.get_stream("EVENTS").await.unwrap();
    let config = stream.info().await.unwrap().config.clone();
    assert_eq!(config.storage, StorageType::File);
    assert_eq!(config.retention, async_nats::jetstream::stream::RetentionPolicy::Limits);
    assert_eq!(config.discard, async_nats::jetstream::stream::DiscardPolicy::New);
    assert_eq!(config.max_age, Topology::default().max_age);
    assert_eq!(config.subjects, ["events.>", "redrive.>"]);
}

#[tokio::test]
async fn a_stream_in_memory_is_refused() {
    let server = start().await;
    let subjects = vec!["events.>".to_owned(), "redrive.>".to_owned()];
    let volatile = Config { name: "EVENTS".to_owned(), subjects, storage: StorageType::Memory, ..Config::default() };
    server.raw().await.create_stream(volatile).await.unwrap();
    let Err(Error::Differs { difference, .. }) = server.connect().await.provision(&Topology::default()).await else {
        panic!("accepted")
    };
    for part in ["storage is Memory, wanted File", "discard is Old, wanted New"] {
        assert!(difference.contains(part), "{part:?} is missing in {difference:?}");
    }
}

#[tokio::test]
async fn another_stream_with_our_subjects_is_refused() {
    let server = start().await;
    let other = Config { name: "OTHER".to_owned(), subjects: vec!["events.order.>".to_owned()], ..Config::default() };
    server.raw().await.create_stream(other).await.unwrap();
    let error = server.connect().await.provision(&Topology::default()).await.unwrap_err();
    assert!(matches!(error, Error::Differs { .. }), "{error}");
}

#[tokio::test]
async fn what_an_operator_added_survives_an_update() {
    let server = start().await;
    let bus = server.provisioned().await;
    let raw = server.raw().await;
    let mut config = raw.get_stream("EVENTS").await.unwrap().cached_info().config.clone();
    config.description = Some("ours".to_owned());
    config.max_bytes = 1 << 30;
    raw.update_stream(&config).await.unwrap();
    let mut longer = Topology::default();
    longer.max_age *= 2;
    bus.provision(&longer).await.unwrap();
    let updated = raw.get_stream("EVENTS").await.unwrap().cached_info().config.clone();
    assert_eq!(updated.max_age, longer.max_age);
    assert_eq!((updated.description.as_deref(), updated.max_bytes), (Some("ours"), 1 << 30));
}

#[tokio::test]
async fn a_server_without_jetstream_is_said_clearly() {
    let server = start_with("accounts { PLAIN { users: [ { user: a, password: a } ] } }\nno_auth_user: a").await;
    let error = server.connect().await.provision(&Topology::default()).await.unwrap_err();
    assert!(matches!(&error, Error::Unsupported(text) if text.contains("JetStream is not enabled")), "{error}");
}

#[tokio::test]
async fn the_servers_own_payload_limit_counts() {
    let server = start_with("max_payload: 1024").await;
    let bus = server.provisioned().await;
    let large = Outgoing { payload: vec![b'x'; 2_000].into(), ..message(1) };
    let results = bus.publish(vec![large, message(2)]).await;
    assert!(matches!(&results[0], Err(PublishError::Refused(text)) if text.contains("1024")), "{results:?}");
    assert!(results[1].is_ok(), "{results:?}");
}

#[tokio::test]
async fn a_full_stream_is_back_pressure() {
    let server = start().await;
    let bus = server.connect().await;
    bus.provision(&limited(2_000)).await.unwrap();
    let results = bus.publish(messages(0..200)).await;
    let stored = results.iter().take_while(|result| result.is_ok()).count();
    assert!(stored > 0 && stored < 200, "{stored} stored");
    for result in &results[stored..] {
        assert!(matches!(result, Err(PublishError::Unavailable(_))), "{result:?}");
    }
    assert_eq!(
        bus.stream_state().await.unwrap().last_sequence,
        stored as u64,
        "an old message was dropped, or a later one stored"
    );
    bus.provision(&limited(200_000)).await.unwrap();
    let again = bus.publish(messages(0..200)).await;
    assert!(again.iter().all(Result::is_ok), "{again:?}");
}

fn limited(bytes: u64) -> Topology {
    let mut topology = Topology::default();
    topology.max_bytes = Some(bytes);
    topology
}
