//! The dedupe stores, over real servers.

use std::{sync::Arc, time::Duration};

use pavane_bus::{
    JetStream,
    jetstream::{Bucket, Config as NatsConfig},
};
use pavane_inbox::{
    INBOX,
    dedupe::{BucketStore, Claim, DedupeStore as _, Error, MemoryStore, SqlStore, conformance},
};
use pavane_outbox::{Config as DbConfig, Db};
use pavane_testkit::servers::{Nats, Postgres, Tools};
use tokio::runtime::Handle;

use crate::clock::Ahead;

const RETENTION: Duration = Duration::from_hours(2);

async fn sql(url: String) {
    let clock = Ahead::default();
    let mut config = DbConfig::new("test", url);
    config.clock = Arc::new(clock.clone());
    let db = Db::open(config).await.unwrap();
    db.migrate(&INBOX).await.unwrap();
    let pass = |time| tokio::task::block_in_place(|| Handle::current().block_on(clock.pass_with(&db, time)));
    conformance::all(SqlStore::new(db.clone(), RETENTION), pass).await;
    pass(RETENTION * 2);
    pavane_inbox::forget(&db, RETENTION).await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from pavane_claim").fetch_one(db.readers()).await.unwrap();
    assert_eq!(left, 0, "what has expired is deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_conforms() {
    let folder = tempfile::tempdir().unwrap();
    sql(format!("sqlite:{}", folder.path().join("claims.db").display())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_conforms() {
    sql(Postgres::shared().await.unwrap().fresh_database().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_conforms() {
    let clock = Ahead::default();
    conformance::all(MemoryStore::new(Arc::new(clock.clone()), 1000), |time| clock.pass(time)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_bucket_conforms() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let bus = JetStream::connect(NatsConfig::new(nats.url(), "test")).await.unwrap();
    let clock = Ahead::default();
    let bucket = Bucket::open(bus, "claims", RETENTION).await.unwrap();
    conformance::all(BucketStore::new(bucket, Arc::new(clock.clone())), |time| clock.pass(time)).await;
}

#[tokio::test]
async fn memory_is_bounded_and_never_drops_a_held_claim() {
    let clock = Ahead::default();
    let store = MemoryStore::new(Arc::new(clock.clone()), 10);
    let Claim::Held(held) = store.claim("held", RETENTION).await.unwrap() else { panic!("it is free") };
    for number in 0..100 {
        let Claim::Held(claim) = store.claim(&number.to_string(), RETENTION).await.unwrap() else {
            panic!("it is free")
        };
        store.confirm(claim, String::new()).await.unwrap();
    }
    for number in 91..100 {
        assert!(matches!(store.claim(&number.to_string(), RETENTION).await.unwrap(), Claim::Done(_)), "{number}");
    }
    assert!(matches!(store.claim("0", RETENTION).await.unwrap(), Claim::Held(_)), "the oldest are forgotten");
    assert!(matches!(store.claim("held", RETENTION).await.unwrap(), Claim::Busy { .. }));
    store.confirm(held, String::new()).await.unwrap();
    let full = MemoryStore::new(Arc::new(clock), 2);
    let mut refused = None;
    for number in 0..8 {
        refused = refused.or(full.claim(&number.to_string(), RETENTION).await.err());
    }
    assert!(matches!(refused, Some(Error::Full(2))), "claims that are held are not dropped for new ones: {refused:?}");
}
