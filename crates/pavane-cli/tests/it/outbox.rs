//! What the server refused, in the databases of services.

use pavane_bus::JetStream;
use pavane_outbox::{Config, Db, migration::OUTBOX, relay::Relay};
use pavane_testkit::servers::Postgres;
use serde_json::json;
use tempfile::TempDir;

use crate::command::pavane;

/// Nobody is there: the command has to do without.
const NO_NATS: &str = "nats://127.0.0.1:1";

/// Two refused events, and one that waits.
async fn outbox(url: &str) -> Db<sqlx::Any> {
    let db: Db<sqlx::Any> = Db::open(Config::new("order", url)).await.unwrap();
    db.migrate(&OUTBOX).await.unwrap();
    let bytes = |text| if url.starts_with("sqlite:") { format!("cast('{text}' as blob)") } else { format!("'{text}'") };
    let (one, other) = (bytes(r#"{"a":1}"#), bytes("{}"));
    let fill = format!(
        "insert into pavane_outbox (event_id, subject, headers, payload, emitted_at, refused) values \
                ('01a2029d-5c00-7000-8000-000000000001', 'events.order.placed.a', '[]', {one}, 1, 'too large'), \
                ('01a2029d-5c00-7000-8000-000000000002', 'events.order.placed.b', '[]', {other}, 2, 'too large'), \
                ('01a2029d-5c00-7000-8000-000000000003', 'events.order.placed.c', '[]', {other}, 3, null); \
                delete from pavane_unsent; \
                insert into pavane_unsent select seq from pavane_outbox where refused is null"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(fill)).execute(db.writers()).await.unwrap();
    db
}

async fn counts(db: &Db<sqlx::Any>) -> (i64, i64) {
    let backlog = Relay::<sqlx::Any, JetStream>::backlog(db).await.unwrap();
    (backlog.unsent, backlog.refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_events_are_listed_and_sent_again() {
    let folder = TempDir::new().unwrap();
    let sqlite = format!("sqlite:{}", folder.path().join("order.db").display());
    let postgres = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
    for url in [sqlite, postgres] {
        let db = outbox(&url).await;
        let listed = pavane(NO_NATS, &["outbox", "list", "--database", &url]).await;
        assert_eq!(listed.code, 1, "{listed:?}");
        assert!(listed.out.contains("events.order.placed.b") && listed.out.contains("too large"), "{listed:?}");
        assert!(!listed.out.contains("events.order.placed.c"), "{listed:?}");
        let listed = pavane(NO_NATS, &["--json", "outbox", "list", "--database", &url]).await.json();
        assert_eq!(listed["refused"].as_array().unwrap().len(), 2);
        assert_eq!(listed["refused"][0]["bytes"], 7);
        let number = listed["refused"][1]["number"].to_string();

        let unnamed = pavane(NO_NATS, &["outbox", "retry", "--database", &url]).await;
        assert!(unnamed.code == 2 && unnamed.err.contains("give their numbers or --all"), "{unnamed:?}");
        let wrong = pavane(NO_NATS, &["outbox", "retry", "--database", &url, &number, "4711"]).await;
        assert!(wrong.code == 2 && wrong.err.contains("there is no refused event 4711"), "{wrong:?}");
        assert_eq!(counts(&db).await, (1, 2), "nothing is done by half");

        let one = pavane(NO_NATS, &["outbox", "retry", "--database", &url, &number]).await;
        assert_eq!((one.code, one.out.trim()), (0, "1 event sent again"), "{one:?}");
        assert_eq!(counts(&db).await, (2, 1));
        let all = pavane(NO_NATS, &["--json", "outbox", "retry", "--database", &url, "--all"]).await;
        assert_eq!(all.json(), json!({ "sent_again": 1 }));
        assert_eq!(counts(&db).await, (3, 0));
        let none = pavane(NO_NATS, &["outbox", "list", "--database", &url]).await;
        assert_eq!((none.code, none.out.trim()), (0, "nothing is refused"), "{none:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_no_empty_outbox() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("mistyped.db");
    let missing = pavane(NO_NATS, &["outbox", "list", "--database", &format!("sqlite:{}", file.display())]).await;
    assert!(missing.code == 2 && missing.err.contains("failed to open the database"), "{missing:?}");
    assert!(!file.exists());
    let foreign = pavane(NO_NATS, &["outbox", "list", "--database", "mysql://user:secret@host/db"]).await;
    assert!(foreign.code == 2 && !foreign.err.contains("secret"), "{foreign:?}");
}
