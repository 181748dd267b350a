//! Sets as arguments of statements: what goes in comes out, through each driver.

use bytes::Bytes;
use pavane_contract::{EventId, SystemClock};
use pavane_outbox::{Arg, Config, Database, Db, Statement, Values};
use sqlx::{Any, Postgres, Sqlite};
use uuid::Uuid;

use crate::shelf::Shelf;

/// Texts that mean something in an array literal, in JSON or in SQL.
const TEXTS: [&str; 22] = [
    "",
    " ",
    "NULL",
    "null",
    "{}",
    "{a,b}",
    "a,b",
    "}{",
    "\"",
    "\"a\"",
    "\\",
    "\\\\\"",
    "\\x00",
    "'; drop table business; --",
    "$1",
    "[1,2]",
    "\n\t\r",
    "\u{1}",
    "ä 日本語 😀",
    "\u{fffd}\u{10ffff}",
    "e\u{301}",
    " padded ",
];

/// Bytes that are no text, and some that are.
fn bytes() -> Vec<Bytes> {
    let mut bytes: Vec<Bytes> = TEXTS.iter().map(|text| Bytes::from_static(text.as_bytes())).collect();
    bytes[1] = Bytes::from_static(b"\0");
    bytes[2] = Bytes::from_static(b"\xff\xfe\x00\xc3");
    bytes[3] = (0..=255).collect();
    bytes
}

fn ids() -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = (0..TEXTS.len()).map(|_| EventId::new(&SystemClock).as_uuid()).collect();
    (ids[0], ids[1]) = (Uuid::nil(), Uuid::max());
    ids
}

fn ints() -> Vec<i64> {
    (0..20).map(|n| n * 1_795_938_130_680_761).chain([i64::MIN, i64::MAX]).collect()
}

async fn texts<DB: Database>(db: &Db<DB>, sql: Statement, set: Values) -> Vec<String> {
    let mut conn = db.writer().await.unwrap();
    let rows = DB::fetch(&mut conn, sql.on(db.dialect()), vec![set.into()]).await.unwrap();
    rows.iter().map(|row| DB::text(row, 0).unwrap().unwrap()).collect()
}

async fn holds<DB: Database>(url: &str) {
    let db = Db::<DB>::open(Config::new("shelf", url)).await.unwrap();
    let each = Statement {
        postgres: "select value from unnest($1::text[]) with ordinality as rows (value, n) order by n",
        sqlite: "select value from json_each($1) order by key",
    };
    let all = || Values::Texts(TEXTS.map(str::to_owned).to_vec());
    assert_eq!(texts(&db, each, all()).await, TEXTS);
    assert!(texts(&db, each, Values::Texts(Vec::new())).await.is_empty());

    // As the framework's statements look for rows.
    let any_id = Statement {
        postgres: "select id::text from unnest($1::uuid[]) as ids (id) where id = any ($1::uuid[]) order by id",
        sqlite: "select value from json_each($1) where value in (select value from json_each($1)) order by value",
    };
    let mut sorted: Vec<String> = ids().iter().map(ToString::to_string).collect();
    sorted.sort();
    sorted.dedup();
    let given = Values::Ids(sorted.iter().map(|id| id.parse().unwrap()).collect());
    assert_eq!(texts(&db, any_id, given).await, sorted);
    assert!(texts(&db, any_id, Values::Ids(Vec::new())).await.is_empty());

    let rows = Statement {
        postgres: "select id::text, number, word, bytes, $5::text \
                   from unnest($1::uuid[], $2::bigint[], $3::text[], $4::bytea[]) with ordinality \
                   as rows (id, number, word, bytes, n) order by n",
        sqlite: "select value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3), $2 from json_each($1) order by key",
    };
    let (ids, ints) = (ids(), ints());
    let columns = vec![Values::Ids(ids.clone()), Values::Ints(ints.clone()), all(), Values::Bytes(bytes())];
    let mut conn = db.writer().await.unwrap();
    let rows =
        DB::fetch(&mut conn, rows.on(db.dialect()), vec![Arg::Rows(columns), "after them".into()]).await.unwrap();
    let read: Vec<_> = rows
        .iter()
        .map(|row| {
            let id: Uuid = DB::text(row, 0).unwrap().unwrap().parse().unwrap();
            let bytes = Bytes::from(DB::bytes(row, 3).unwrap().unwrap());
            assert_eq!(DB::text(row, 4).unwrap().as_deref(), Some("after them"));
            (id, DB::int(row, 1).unwrap().unwrap(), DB::text(row, 2).unwrap().unwrap(), bytes)
        })
        .collect();
    let given: Vec<_> = (0..TEXTS.len()).map(|n| (ids[n], ints[n], TEXTS[n].to_owned(), bytes()[n].clone())).collect();
    assert_eq!(read, given);
}

#[tokio::test]
async fn what_goes_into_a_set_comes_out_through_each_driver() {
    for shelf in Shelf::each().await {
        if shelf.url().starts_with("sqlite:") {
            holds::<Sqlite>(shelf.url()).await;
        } else {
            holds::<Postgres>(shelf.url()).await;
        }
        holds::<Any>(shelf.url()).await;
    }
}
