//! Emitting from SQL, as any driver, ORM or language can.

mod refused;

use std::time::Duration;

use pavane_choreography::{Emission, Entry, Manifest};
use pavane_contract::{
    Cause, Clock as _, Envelope, EventId, EventRef, Key, Meta, SagaId, Timestamp, TraceContext, codec,
};
use pavane_outbox::{Config, Correlation, Db, Decision, Emissions};
use serde_json::{Value, json};
use sqlx::{Any, Row as _, postgres::PgDatabaseError};

use crate::shelf::{Shelf, everything, noted, run_dry};

const DAY: Duration = Duration::from_hours(24);

fn manifest(entries: Vec<(&str, Vec<Emission>)>) -> Manifest {
    let entries = entries.into_iter().map(|(name, emits)| Entry { name: name.to_owned(), emits, answers: None });
    Manifest {
        service: "shelf".to_owned(),
        entries: entries.collect(),
        reactions: Vec::new(),
        events: Vec::new(),
        outlive_outcome: Vec::new(),
    }
}

/// A shelf on PostgreSQL that a service has told of its entry point.
async fn shelf() -> Shelf {
    let shelf = Shelf::on_postgres().await;
    declare(&shelf).await;
    shelf
}

pub(crate) async fn declare(shelf: &Shelf) {
    shelf.db.declare_entries(&manifest(vec![("test", everything())])).await.unwrap();
}

/// What everybody gives, and more.
fn document(key: &str, text: &str, more: &Value) -> Value {
    let data = json!({ "key": key, "text": text });
    let mut document = json!({ "entry": "test", "type": "shelf.noted", "key": key, "data": data });
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document
}

async fn emit(db: &Db<Any>, document: &Value) -> Result<Value, sqlx::Error> {
    let emit = sqlx::query_scalar("select pavane_emit($1::jsonb)::text").bind(document.to_string());
    let answer: String = emit.fetch_one(db.writers()).await?;
    Ok(serde_json::from_str(&answer).unwrap())
}

/// Why a document is refused, and what is to be done.
async fn refusal(db: &Db<Any>, document: &Value) -> (String, String) {
    let error = emit(db, document).await.unwrap_err();
    let error = error.as_database_error().unwrap().downcast_ref::<PgDatabaseError>();
    (error.message().to_owned(), error.hint().unwrap_or_default().to_owned())
}

async fn published(shelf: &Shelf) -> Vec<String> {
    let mut relay = shelf.relay();
    run_dry(&mut relay).await;
    relay.release().await.unwrap();
    assert_eq!(shelf.count("select count(*) from pavane_staged").await, 0);
    shelf.stored()
}

/// Keys, and what is hard about them.
fn keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "",
        "7",
        "order-7_A",
        "order 7",
        "a.b.c",
        ".",
        "*",
        ">",
        "events.>",
        "=",
        "=20",
        "%",
        "%20",
        "\"",
        "\\",
        "'",
        "~!#$&()+,/:;<?@[]^`{|}",
        " ",
        "\t",
        "\n",
        "\r\n",
        "\u{1}",
        "\u{1f}",
        "\u{7f}",
        "\u{80}",
        "ä",
        "é",
        "e\u{301}",
        "ß",
        "日本語",
        "😀",
        "\u{fffd}",
        "\u{202e}",
        "\u{10ffff}",
        "\u{feff}",
        "null",
        "0",
    ]
    .map(str::to_owned)
    .to_vec();
    keys.extend(["k".repeat(Key::MAX_BYTES), "ä".repeat(128), "😀".repeat(64), " ".repeat(256), "\"".repeat(256)]);
    keys
}

/// What may lead to an event.
fn causes(clock: &dyn pavane_contract::Clock) -> Vec<(Cause, Value)> {
    let saga = SagaId::new(clock);
    let foreign: SagaId = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6".parse().unwrap();
    let event = EventId::new(clock);
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let trace = |state: Option<&str>| Some(TraceContext { parent: parent.to_owned(), state: state.map(str::to_owned) });
    let cause = |saga: SagaId, started, event, trace| Cause { saga, started, event, trace, item: None };
    let own = saga.time().unwrap();
    vec![
        (cause(saga, own, None, None), json!({ "saga": saga })),
        (cause(saga, own, Some(event), None), json!({ "saga": saga.to_string().to_uppercase(), "caused_by": event })),
        (cause(saga, own, None, trace(None)), json!({ "saga": saga, "traceparent": parent, "caused_by": null })),
        (
            cause(saga, own, Some(event), trace(Some(r#"a=1,b="\x""#))),
            json!({ "saga": saga, "caused_by": event, "traceparent": parent, "tracestate": r#"a=1,b="\x""# }),
        ),
        (cause(saga, own, None, None), json!({ "saga": saga, "tracestate": "a=1" })),
        (
            cause(foreign, at("2026-01-02T03:04:05Z"), None, None),
            json!({ "saga": foreign, "started": "2026-01-02T03:04:05Z" }),
        ),
        (
            cause(foreign, at("1969-12-31T23:59:59.5Z"), None, None),
            json!({ "saga": foreign, "started": "1970-01-01T01:59:59.500+02:00" }),
        ),
        (
            cause(foreign, at("2026-01-02T03:04:05.000001Z"), None, None),
            json!({ "saga": foreign, "started": "2026-01-02T03:04:05.000001Z" }),
        ),
    ]
}

/// An event that had a cause, so that what comes of it has the same.
fn of_cause(cause: Cause) -> Correlation {
    let Cause { saga, started, event, trace, .. } = cause;
    let Some(id) = event else { return Correlation::of(saga).started_at(started).traced(trace) };
    let event = EventRef { name: "other.thing".to_owned(), version: 1 };
    let cause = Cause { saga, started, event: None, trace, item: None };
    let meta = Meta { id, event, key: "x".into(), source: "other".to_owned(), time: started, cause };
    Correlation::caused_by(&Envelope { meta: meta.into(), body: () })
}

#[tokio::test]
async fn subjects_and_headers_are_the_same_from_sql_and_from_rust_byte_for_byte() {
    let shelf = shelf().await;
    // Times that end in zeros, and one that is a whole second.
    let second = Timestamp::from_second(shelf.clock.now().as_second()).unwrap();
    let causes = causes(&shelf.clock);
    let all = keys()
        .into_iter()
        .map(|key| (key, causes[0].clone()))
        .chain(causes.iter().map(|it| ("7".to_owned(), it.clone())));
    let mut expected = 0;
    for (number, (key, (cause, more))) in all.enumerate() {
        let micros = [0, 1, 10, 120_000, 123_456, 999_999][number % 6];
        shelf.clock.set(second + Duration::from_micros(micros));
        shelf.set_database_clock(shelf.clock.now()).await;
        let mut tx = shelf.db.writers().begin().await.unwrap();
        let emissions = Emissions::new("shelf/test", everything());
        let mut guest = shelf.db.guest(&mut *tx, of_cause(cause), emissions).unwrap();
        guest.emit(&noted(&key, "same")).await.unwrap();
        tx.commit().await.unwrap();
        let answer = emit(&shelf.db, &document(&key, "same", &more)).await.unwrap();
        assert_eq!(answer["emitted"], true);
        expected += 1;
        let rows = "select event_id::text, subject, headers, payload from pavane_outbox order by seq desc limit 2";
        let rows = sqlx::query(rows).fetch_all(shelf.db.writers()).await.unwrap();
        let [sql, rust] = [&rows[0], &rows[1]].map(|row| {
            let [id, subject, headers] = [0, 1, 2].map(|column| row.get::<String, _>(column));
            let payload: Vec<u8> = row.get(3);
            assert_eq!(id.parse::<uuid::Uuid>().unwrap().get_version_num(), 7, "{id}");
            // What is read and written again is the same.
            let read =
                codec::decode_on(&subject, &serde_json::from_str(&headers).unwrap(), payload.into(), 1 << 20).unwrap();
            assert_eq!(serde_json::to_string(&codec::encode(&read)).unwrap(), headers);
            assert_eq!(read.decode::<crate::shelf::Noted>().unwrap().body, noted(&key, "same"));
            (subject, headers.replace(&id, "the id"))
        });
        assert_eq!(sql, rust, "{key:?} {more}");
    }
    assert_eq!(published(&shelf).await.len(), 2 * expected);
}

#[tokio::test]
async fn an_id_made_in_sql_is_of_its_time_and_of_no_other() {
    let shelf = shelf().await;
    let ids = "select count(distinct pavane_uuid(1795938130680760))::bigint, \
               count(*) filter (where pavane_uuid_time(pavane_uuid(1795938130680760)) = 1795938130680000)::bigint \
               from generate_series(1, 1000)";
    let row = sqlx::query(ids).fetch_one(shelf.db.writers()).await.unwrap();
    assert_eq!((row.get::<i64, _>(0), row.get::<i64, _>(1)), (1000, 1000));
    let id: String =
        sqlx::query_scalar("select pavane_uuid(1795938130680760)::text").fetch_one(shelf.db.writers()).await.unwrap();
    let id: SagaId = id.parse().unwrap();
    assert_eq!(id.time().unwrap().as_millisecond(), 1_795_938_130_680);
    assert_eq!(id.as_uuid().get_variant(), uuid::Variant::RFC4122);
}

#[tokio::test]
async fn a_document_begins_a_saga_or_goes_on_with_one_and_may_come_later_or_decide() {
    let shelf = shelf().await;
    let first = emit(&shelf.db, &document("a", "first", &json!({}))).await.unwrap();
    let saga: SagaId = first["saga"].as_str().unwrap().parse().unwrap();
    assert_eq!(saga.time().unwrap().as_millisecond(), shelf.clock.now().as_millisecond());
    let decide = |text: &str| document("a", text, &json!({ "saga": saga, "decides": true }));
    assert_eq!(emit(&shelf.db, &decide("won")).await.unwrap()["emitted"], true);
    let lost = emit(&shelf.db, &decide("lost")).await.unwrap();
    assert_eq!(
        (&lost["emitted"], &lost["id"], lost["saga"].as_str().unwrap()),
        (&json!(false), &Value::Null, &*saga.to_string())
    );
    // An outcome cancels only what was scheduled before it.
    for (after, text) in [(json!(1.5), "in seconds"), (json!("1 hour 30 minutes"), "as an interval")] {
        emit(&shelf.db, &document("a", text, &json!({ "saga": saga, "after": after }))).await.unwrap();
    }
    // Rust knows of it.
    let mut tx = shelf.db.begin(Correlation::of(saga), Emissions::new("shelf/test", everything())).await.unwrap();
    assert_eq!(tx.decide(&noted("a", "lost")).await.unwrap(), Decision::Lost);
    drop(tx);
    assert_eq!(published(&shelf).await, ["first", "won"]);
    shelf.pass(Duration::from_millis(1500)).await;
    assert_eq!(published(&shelf).await, ["first", "won", "in seconds"]);
    shelf.pass(Duration::from_mins(90)).await;
    assert_eq!(published(&shelf).await, ["first", "won", "in seconds", "as an interval"]);
}

#[tokio::test]
async fn what_is_emitted_from_sql_leaves_with_the_transaction_that_calls_it() {
    let shelf = shelf().await;
    let call = |text: &str| format!("select pavane_emit('{}')::text", document("a", text, &json!({})));
    for (end, text) in [("commit", "kept"), ("rollback", "ghost"), ("savepoint s", "unfinished")] {
        let script = format!("begin; {}; {end}", call(text));
        let mut conn = shelf.db.writers().acquire().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(script)).execute(&mut *conn).await.unwrap();
        drop(conn.detach());
    }
    // A deferred trigger of the user's emits while the transaction commits; and a session looks for its tables elsewhere.
    let trigger = format!(
        "create table business (id integer);
         create function tell() returns trigger language plpgsql as $$ begin perform public.pavane_emit('{}'); return null; end $$;
         create constraint trigger tell after insert on business deferrable initially deferred
             for each row execute function tell();
         begin; set local search_path = ''; insert into public.business values (1); commit",
        document("a", "at the commit", &json!({}))
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(trigger)).execute(shelf.db.writers()).await.unwrap();
    assert_eq!(published(&shelf).await, ["kept", "at the commit"]);
}

#[tokio::test]
async fn what_a_service_no_longer_declares_can_no_longer_be_emitted() {
    let shelf = shelf().await;
    emit(&shelf.db, &document("a", "x", &json!({}))).await.unwrap();
    let others = futures(&shelf, manifest(vec![("other", everything())])).await;
    assert!(others.iter().all(Result::is_ok), "instances that start at once are in each other's way: {others:?}");
    let (said, hint) = refusal(&shelf.db, &document("a", "x", &json!({}))).await;
    assert_eq!((&*said, &*hint), ("there is no entry point \"test\"", "there are: other"));
    shelf.db.declare_entries(&manifest(Vec::new())).await.unwrap();
    let (_, hint) = refusal(&shelf.db, &document("a", "x", &json!({}))).await;
    assert_eq!(hint, "a service writes its entry points here when it starts");
}

/// Several instances that start at once.
async fn futures(shelf: &Shelf, manifest: Manifest) -> Vec<Result<(), pavane_outbox::Error>> {
    let start = || {
        let (db, manifest) = (shelf.db.clone(), manifest.clone());
        tokio::spawn(async move { db.declare_entries(&manifest).await })
    };
    let mut ended = Vec::new();
    for instance in (0..8).map(|_| start()).collect::<Vec<_>>() {
        ended.push(instance.await.unwrap());
    }
    ended
}

#[tokio::test]
async fn a_role_that_may_call_the_function_needs_no_other_right_and_can_not_lead_it_astray() {
    let shelf = shelf().await;
    shelf.run("create role teller login; create role stranger login").await;
    shelf.run("grant execute on function pavane_emit(jsonb), pavane_cancel(text, text, uuid) to teller").await;
    let open = async |role: &str| {
        let url = shelf.url().replace("postgres@", &format!("{role}@"));
        Db::<Any>::open(Config::new("shelf", url)).await.unwrap()
    };
    let teller = open("teller").await;
    let script = format!(
        "create temp table pavane_outbox (id integer); create temp table pavane_staged (id integer);
         create temp table pavane_entry (name text, service text); set search_path = pg_temp, public;
         select pavane_emit('{}')::text",
        document("a", "told", &json!({}))
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(script)).execute(&mut *teller.writer().await.unwrap()).await.unwrap();
    let cancel = "select pavane_cancel('test', 'shelf.noted', pavane_uuid(0))";
    let cancelled: bool = sqlx::query_scalar(cancel).fetch_one(open("teller").await.writers()).await.unwrap();
    assert!(!cancelled);
    let stranger = open("stranger").await;
    let (said, _) = refusal(&stranger, &document("a", "x", &json!({}))).await;
    assert_eq!(said, "permission denied for function pavane_emit");
    let refused = sqlx::query(cancel).execute(stranger.writers()).await.unwrap_err();
    assert!(refused.to_string().contains("permission denied for function pavane_cancel"), "{refused}");
    let attach = "create temp table forged (id integer); create trigger forge after insert on forged for each row \
                  execute function public.pavane_move_staged()";
    for write in [
        attach,
        "insert into public.pavane_staged (event_id, subject, headers, payload) values (gen_random_uuid(), '', '', '')",
        "delete from public.pavane_outbox",
        "update public.pavane_entry_event set decides = true",
    ] {
        let refused = sqlx::raw_sql(write).execute(open("teller").await.writers()).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{refused}");
    }
    assert_eq!(published(&shelf).await, ["told"]);
}
