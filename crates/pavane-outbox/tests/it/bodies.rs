//! An event's body is bytes, from where it is emitted to the broker.

use std::time::Duration;

use pavane_bus::topology::EVENTS;
use pavane_contract::{Event as _, EventRef};
use pavane_outbox::{Config, Correlation, Database, Db, Emissions, internal::emit_raw};
use serde_json::json;
use sqlx::{Any, Postgres, Sqlite};

use crate::shelf::{Noted, Shelf, everything, noted, run_dry};

/// JSON that a serializer would write otherwise, and what is no text at all.
const BODIES: [&[u8]; 5] = [
    b" {\n\t\"key\" : \"a\" ,\r\n\"text\":\"caf\\u00e9 \\/ \\\\ \\\" ' {} $1 NULL\" , \"text2\":1.0e2 } ",
    "{\"key\":\"ä\",\"text\":\"日本語 😀 \\ud83d\\ude00\"}".as_bytes(),
    b"",
    b"\\x00",
    b"\xff\xfe\x00\xc3{",
];

fn bodies(shelf: &Shelf) -> Vec<Vec<u8>> {
    shelf.bus.messages(EVENTS).into_iter().map(|stored| stored.message.payload.to_vec()).collect()
}

async fn emit<DB: Database>(url: &str) {
    let db = Db::<DB>::open(Config::new("shelf", url)).await.unwrap();
    let mut tx = db.begin(Correlation::start(), Emissions::new("shelf/test", everything())).await.unwrap();
    for body in BODIES {
        emit_raw(&mut tx, EventRef::of::<Noted>(), noted("a", "").key(), body.to_vec()).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_body_arrives_byte_for_byte_through_each_driver() {
    for shelf in Shelf::each().await {
        if shelf.url().starts_with("sqlite:") {
            emit::<Sqlite>(shelf.url()).await;
        } else {
            emit::<Postgres>(shelf.url()).await;
        }
        emit::<Any>(shelf.url()).await;
        run_dry(&mut shelf.relay()).await;
        assert_eq!(bodies(&shelf), [BODIES, BODIES].concat(), "{}", shelf.url());
    }
}

#[tokio::test]
async fn a_timer_has_its_saga_its_event_and_its_body_however_it_is_written() {
    let odd = noted("a", "\u{1} \\ \" ' {} NULL 日本語 😀");
    let wanted = serde_json::to_vec(&odd).unwrap();
    for shelf in Shelf::each().await {
        let in_postgres = !shelf.url().starts_with("sqlite:");
        let mut tx = shelf.begin().await;
        let saga = tx.saga();
        tx.emit_after(Duration::from_secs(1), &odd).await.unwrap();
        tx.commit().await.unwrap();
        if in_postgres {
            let mut tx = shelf.db.writers().begin().await.unwrap();
            let emissions = Emissions::new("shelf/test", everything());
            let mut guest = shelf.db.guest(&mut *tx, Correlation::of(saga), emissions).unwrap();
            guest.emit_after(Duration::from_secs(2), &odd).await.unwrap();
            tx.commit().await.unwrap();
            crate::emit::declare(&shelf).await;
            let document =
                json!({ "entry": "test", "type": "shelf.noted", "key": "a", "data": odd, "saga": saga, "after": 3 });
            let call = sqlx::query("select pavane_emit($1::jsonb)::text").bind(document.to_string());
            call.execute(shelf.db.writers()).await.unwrap();
        }
        let find = if in_postgres {
            "select count(*) from pavane_timer where saga = $1::uuid and event = $2"
        } else {
            "select count(*) from pavane_timer where saga = $1 and event = $2"
        };
        let find = sqlx::query_scalar(find).bind(saga.to_string()).bind("shelf.noted");
        let found: i64 = find.fetch_one(shelf.db.writers()).await.unwrap();
        assert_eq!(found, if in_postgres { 3 } else { 1 });
        shelf.pass(Duration::from_secs(3)).await;
        run_dry(&mut shelf.relay()).await;
        let arrived = bodies(&shelf);
        assert_eq!(arrived.len(), if in_postgres { 3 } else { 1 });
        // Only what SQL says is written anew, by PostgreSQL.
        assert!(arrived.iter().take(2).all(|body| *body == wanted), "{arrived:?}");
        assert!(arrived.iter().all(|body| serde_json::from_slice::<Noted>(body).unwrap() == odd), "{arrived:?}");
    }
}

#[tokio::test]
async fn what_its_transaction_deletes_before_the_commit_is_neither_scheduled_nor_published() {
    let shelf = Shelf::on_postgres().await;
    let mut tx = shelf.db.writers().begin().await.unwrap();
    let emissions = Emissions::new("shelf/test", everything());
    let mut guest = shelf.db.guest(&mut *tx, Correlation::start(), emissions).unwrap();
    guest.emit_after(Duration::from_secs(1), &noted("a", "cancelled")).await.unwrap();
    guest.emit(&noted("a", "kept")).await.unwrap();
    sqlx::query("delete from pavane_staged where due_at is not null").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(shelf.count("select count(*) from pavane_timer").await, 0);
    run_dry(&mut shelf.relay()).await;
    assert_eq!(shelf.stored(), ["kept"]);
}
