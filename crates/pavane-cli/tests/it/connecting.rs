//! The settings of a connection that are those of services.

use pavane_bus::{
    Bus as _, JetStream, Outgoing, Topology,
    jetstream::{Config, Login},
};
use pavane_contract::codec::Headers;
use pavane_testkit::servers::{Nats, NatsOptions, Tools};

use crate::command::{command, ended, pavane};

#[tokio::test(flavor = "multi_thread")]
async fn provisioning_makes_the_streams_of_a_namespace_and_the_other_commands_follow_it() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let (url, shop) = (nats.url(), ["--namespace", "shop"]);
    let missing = pavane(&url, &[&shop[..], &["stuck"]].concat()).await;
    assert_eq!((missing.code, missing.err.contains("there is no stream shop_EVENTS")), (2, true), "{missing:?}");
    let provision = [&shop[..], &["provision", "--max-age", "8", "--max-bytes", "1000000"]].concat();
    for _ in 0..2 {
        let provisioned = pavane(&url, &provision).await;
        assert_eq!(provisioned.code, 0, "{provisioned:?}");
        let streams = "shop_EVENTS, shop_DEAD_LETTERS, KV_shop_PAVANE_MANIFESTS, shop_AUDIT";
        assert!(provisioned.out.contains(streams), "{provisioned:?}");
    }
    // A service that only verifies finds what it needs.
    let mut config = Config::new(&url, "order");
    (config.namespace, config.verify_only) = (Some("shop".to_owned()), true);
    let bus = JetStream::connect(config).await.unwrap();
    let mut topology = Topology::default();
    (topology.max_age, topology.max_bytes) = (std::time::Duration::from_hours(8 * 24), Some(1_000_000));
    bus.provision(&topology).await.unwrap();

    let subject = "dead.order.ship.events.order.placed.7".to_owned();
    let letter = Outgoing { subject, headers: Headers::default(), payload: "?".into(), message_id: "1".to_owned() };
    bus.publish(vec![letter]).await.remove(0).unwrap();
    let listed = pavane(&url, &[&shop[..], &["dead-letters", "list"]].concat()).await;
    assert_eq!((listed.code, listed.out.contains("order/ship")), (1, true), "{listed:?}");
    let elsewhere = pavane(&url, &["dead-letters", "list"]).await;
    assert_eq!((elsewhere.code, elsewhere.err.contains("there is no stream EVENTS")), (2, true), "{elsewhere:?}");
    let by_variable = ended(command(&url, &["doctor"]).env("PAVANE_NAMESPACE", "shop").spawn().unwrap()).await;
    assert!(by_variable.out.contains("shop_DEAD_LETTERS 1 message"), "{by_variable:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_an_option_a_variable_or_in_a_file_and_never_told() {
    let config = "authorization { token: \"a-token-of-ours\" }".to_owned();
    let nats = Nats::start_with(&Tools::from_env(), NatsOptions { config, ..NatsOptions::default() }).await.unwrap();
    let url = nats.url();
    let mut config = Config::new(&url, "stage");
    config.login = Some(Login::Token("a-token-of-ours".to_owned()));
    JetStream::connect(config).await.unwrap().provision(&Topology::default()).await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a-token-of-ours\n").unwrap();
    let file = file.path().to_str().unwrap();
    for login in [["--nats-token", "a-token-of-ours"], ["--nats-token-file", file]] {
        let ran = pavane(&url, &[&login[..], &["stuck"]].concat()).await;
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let by_variable = command(&url, &["stuck"]).env("NATS_TOKEN", "a-token-of-ours").spawn().unwrap();
    assert_eq!(ended(by_variable).await.code, 0);
    let two = pavane(&url, &["--nats-token", "a-token-of-ours", "--nats-token-file", file, "stuck"]).await;
    assert!(two.code == 2 && two.err.contains("NATS_TOKEN_FILE = ") && two.err.contains("keep one of them"), "{two:?}");
    assert!(!two.err.contains("a-token-of-ours"), "{two:?}");
}
