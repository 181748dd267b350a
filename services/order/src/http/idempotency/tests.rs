use std::sync::Arc;

use contracts::OrderId;
use pavane::{Config, database::Config as DbConfig};
use pavane_bus::Memory;
use pavane_contract::{Clock as _, SystemClock};
use pavane_testkit::servers::Postgres;
use serde_json::json;

use super::*;
use crate::Orders;

#[test]
fn a_request_is_told_from_another_by_what_it_says() {
    let mut headers = HeaderMap::new();
    let fingerprint = |headers: &HeaderMap, body: &str| {
        let body = serde_json::from_str(body).unwrap();
        Key::of(headers, &body).unwrap().map(|key| key.fingerprint)
    };
    assert_eq!(fingerprint(&headers, "{}"), None);
    headers.insert(HEADER, "k".parse().unwrap());
    let first = fingerprint(&headers, r#"{ "a": 1, "b": [2, 3] }"#);
    assert_eq!(first.as_ref().map(String::len), Some(64));
    assert_eq!(fingerprint(&headers, r#"{"b":[2,3],"a":1}"#), first);
    assert_ne!(fingerprint(&headers, r#"{"b":[3,2],"a":1}"#), first);
}

#[tokio::test]
async fn only_expired_keys_are_forgotten_a_batch_at_a_time() {
    let postgres = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
    for url in ["sqlite::memory:", &postgres] {
        let db = Db::open(DbConfig::new("order", url)).await.unwrap();
        let bus = Memory::new(Arc::new(SystemClock));
        let app = crate::service(Orders::default()).connect_to(db.clone(), bus, Config::new("")).await.unwrap();

        let mut tx = app.entry(&crate::http::PLACE).begin(Correlation::start()).await.unwrap();
        let order = OrderId::from(tx.saga().as_uuid());
        let saved = Saved { fingerprint: String::new(), order, body: json!({}).to_string() };
        for n in 0..=KEYS {
            assert!(store::save(&mut tx, &format!("old-{n}"), &saved, Timestamp::MIN).await.unwrap());
        }
        let age = "update idempotency_keys set created_at = created_at - 86400000001";
        sqlx::query(age).execute(tx.conn()).await.unwrap();
        assert!(store::save(&mut tx, "young", &saved, Timestamp::MIN).await.unwrap());
        tx.commit().await.unwrap();

        assert!(forget(&db).await.unwrap(), "there is one more");
        assert!(!forget(&db).await.unwrap());
        let left: Vec<String> =
            sqlx::query_scalar("select key from idempotency_keys").fetch_all(db.readers()).await.unwrap();
        assert_eq!(left, ["young"]);
        assert!(store::saved(&db, "young", expired(SystemClock.now())).await.unwrap().is_some());
    }
}
