use pavane_bus::Outgoing;
use pavane_contract::{
    Cause, Envelope, EventId, EventRef, Meta, RawEnvelope, SagaId, SystemClock, Timestamp, codec::Headers,
};
use pavane_outbox::{Config, Correlation, Db, Emissions, Tx};
use pavane_testkit::servers::Postgres;
use sqlx::Any;
use tempfile::TempDir;

use super::*;
use crate::{dead_letter, keys::store::age_of_step};

const STEP: &str = "reserve-seat";

/// A database of each kind, with steps that have items beside them.
async fn each() -> Vec<(Db<Any>, TempDir)> {
    let mut each = Vec::new();
    for on_postgres in [false, true] {
        let folder = TempDir::new().unwrap();
        let url = if on_postgres {
            Postgres::shared().await.unwrap().fresh_database().await.unwrap()
        } else {
            format!("sqlite:{}", folder.path().join("inbox.db").display())
        };
        let db = Db::open(Config::new("flight", url)).await.unwrap();
        db.migrate(&INBOX).await.unwrap();
        each.push((db, folder));
    }
    each
}

async fn begin(db: &Db<Any>) -> Tx<Any> {
    db.begin(Correlation::start(), Emissions::new("flight/test", Vec::new())).await.unwrap()
}

/// An item of the step for each state.
async fn add_items(db: &Db<Any>, saga: SagaId) {
    let uuid = if db.dialect() == Dialect::Postgres { "::uuid" } else { "" };
    for state in ["running", "done", "undone", "barred", "gathering"] {
        let insert =
            format!("insert into pavane_ledger (saga, step, item, state, changed_at) values ($1{uuid}, $2, $3, $3, 7)");
        let insert = sqlx::query(sqlx::AssertSqlSafe(insert)).bind(saga.to_string()).bind(STEP).bind(state);
        insert.execute(db.writers()).await.unwrap();
    }
}

/// The items whose row is as [`add_items`] left it.
async fn untouched_items(db: &Db<Any>) -> i64 {
    let untouched = "select count(*) from pavane_ledger where item = state and changed_at = 7 \
                     and event_id is null and kept is null";
    sqlx::query_scalar(untouched).fetch_one(db.readers()).await.unwrap()
}

/// An event whose body a serializer would write otherwise.
fn event(saga: SagaId, body: &'static [u8]) -> RawEnvelope {
    let event = EventRef { name: "flight.reserved".to_owned(), version: 1 };
    let cause = Cause::new(saga, Timestamp::UNIX_EPOCH);
    let id = EventId::new(&SystemClock);
    let meta = Meta { id, event, key: "a".into(), source: "flight".to_owned(), time: Timestamp::UNIX_EPOCH, cause };
    Envelope { meta: meta.into(), body: body.into() }
}

async fn state(tx: &mut Tx<Any>, saga: SagaId) -> Option<State> {
    look(tx, STEP, &[RowKey::whole(saga)]).await.unwrap().remove(&RowKey::whole(saga)).map(|step| step.state)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_and_its_items_are_in_each_others_way_nowhere() {
    for (db, _folder) in each().await {
        let saga = SagaId::new(&SystemClock);
        add_items(&db, saga).await;
        let other = SagaId::new(&SystemClock);
        add_items(&db, other).await;
        let id = EventId::new(&SystemClock);

        let mut tx = begin(&db).await;
        assert_eq!(state(&mut tx, saga).await, None, "items are not the step");
        // A plain step: it runs, keeps what it emitted, is undone.
        assert_eq!(start(&mut tx, STEP, &[(RowKey::whole(saga), id)], State::Done).await.unwrap(), HashSet::from([id]));
        let kept = event(saga, b"{\"key\" :\n\"\\u00e9 \\\\ \\\" ' {}\"  }");
        keep(&mut tx, STEP, &[(RowKey::whole(saga), kept.clone())]).await.unwrap();
        let step = look(&mut tx, STEP, &[RowKey::whole(saga)]).await.unwrap().remove(&RowKey::whole(saga)).unwrap();
        assert_eq!((step.state, step.event_id), (State::Done, Some(id)));
        assert_eq!(step.kept, Some(kept));
        bar(&mut tx, STEP, &[RowKey::whole(other)]).await.unwrap();
        assert_eq!(undo(&mut tx, STEP, &[saga, other]).await.unwrap().len(), 2, "one is undone, the other barred");
        assert_eq!(state(&mut tx, saga).await, Some(State::Undone));
        assert_eq!(state(&mut tx, other).await, Some(State::Barred));
        tx.commit().await.unwrap();
        assert_eq!(untouched_items(&db).await, 10, "{:?}", db.dialect());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_with_an_effect_and_its_items_are_in_each_others_way_nowhere() {
    for (db, _folder) in each().await {
        let saga = SagaId::new(&SystemClock);
        add_items(&db, saga).await;
        let id = EventId::new(&SystemClock);
        assert_eq!(
            age_of_step(&db, STEP, RowKey::whole(saga)).await.unwrap(),
            None,
            "an item that runs is not the step"
        );
        let mut tx = begin(&db).await;
        forget_running(&mut tx, STEP, RowKey::whole(saga)).await.unwrap();
        assert!(!finish(&mut tx, STEP, RowKey::whole(saga), (State::Barred, None)).await.unwrap());
        tx.commit().await.unwrap();
        assert!(start_running(&db, STEP, saga, id).await.unwrap());
        assert!(age_of_step(&db, STEP, RowKey::whole(saga)).await.unwrap().is_some());
        let mut tx = begin(&db).await;
        let kept = event(saga, b"{ \"key\":1.0e2 }");
        assert!(finish(&mut tx, STEP, RowKey::whole(saga), (State::Done, Some(kept.clone()))).await.unwrap());
        let step = look(&mut tx, STEP, &[RowKey::whole(saga)]).await.unwrap().remove(&RowKey::whole(saga)).unwrap();
        assert_eq!((step.state, step.kept), (State::Done, Some(kept)));
        bar(&mut tx, STEP, &[RowKey::whole(saga)]).await.unwrap();
        assert_eq!(state(&mut tx, saga).await, Some(State::Barred));
        tx.commit().await.unwrap();
        assert_eq!(untouched_items(&db).await, 5, "{:?}", db.dialect());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_said_no_keeps_nothing() {
    for (db, _folder) in each().await {
        let saga = SagaId::new(&SystemClock);
        assert!(start_running(&db, STEP, saga, EventId::new(&SystemClock)).await.unwrap());
        let mut tx = begin(&db).await;
        assert!(finish(&mut tx, STEP, RowKey::whole(saga), (State::Barred, None)).await.unwrap());
        tx.commit().await.unwrap();
        let none: i64 = sqlx::query_scalar("select count(*) from pavane_ledger where kept is null")
            .fetch_one(db.readers())
            .await
            .unwrap();
        assert_eq!(none, 1, "{:?}", db.dialect());
    }
}

/// Runs all statements about steps in a new database, and returns how each that names the ledger is planned.
async fn plans<DB: Database>() -> Vec<(String, String)> {
    let url = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
    let db = Db::<DB>::open(Config::new("flight", url)).await.unwrap();
    db.migrate(&INBOX).await.unwrap();
    let (saga, id) = (SagaId::new(&SystemClock), EventId::new(&SystemClock));
    let mut tx = db.begin(Correlation::start(), Emissions::new("flight/test", Vec::new())).await.unwrap();
    start(&mut tx, STEP, &[(RowKey::whole(saga), id)], State::Done).await.unwrap();
    keep(&mut tx, STEP, &[(RowKey::whole(saga), event(saga, b"{}"))]).await.unwrap();
    look(&mut tx, STEP, &[RowKey::whole(saga)]).await.unwrap();
    bar(&mut tx, STEP, &[RowKey::whole(saga)]).await.unwrap();
    undo(&mut tx, STEP, &[saga]).await.unwrap();
    finish(&mut tx, STEP, RowKey::whole(saga), (State::Barred, None)).await.unwrap();
    forget_running(&mut tx, STEP, RowKey::whole(saga)).await.unwrap();
    gather(&mut tx, STEP, &[saga]).await.unwrap();
    complete(&mut tx, STEP, &[(saga, id)], State::Running).await.unwrap();
    gather_again(&mut tx, STEP, saga, id).await.unwrap();
    bar_join(&mut tx, STEP, saga, id).await.unwrap();
    whole(&mut tx, STEP, &[saga]).await.unwrap();
    items(&mut tx, STEP, &[saga]).await.unwrap();
    undo_items(&mut tx, STEP, &[saga]).await.unwrap();
    undo_item(&mut tx, STEP, RowKey { saga, item: Some(1) }).await.unwrap();
    bar_whole(&mut tx, STEP, &[saga]).await.unwrap();
    over(&mut tx, STEP, &[saga]).await.unwrap();
    // A plan that is made once and for all, as it is after five runs.
    DB::execute(tx.conn(), "set local plan_cache_mode = force_generic_plan", Vec::new()).await.unwrap();
    let prepared = "select statement, 'explain execute ' || name || '(' \
                    || array_to_string(array_fill('null'::text, array[cardinality(parameter_types)]), ',') || ')' \
                    from pg_prepared_statements where statement like '%pavane_ledger%' and cardinality(parameter_types) > 0";
    let prepared = DB::fetch(tx.conn(), prepared, Vec::new()).await.unwrap();
    let mut plans = Vec::new();
    for row in &prepared {
        let explain: &'static str = text::<DB>(row, 1).unwrap().leak();
        let lines = DB::fetch(tx.conn(), explain, Vec::new()).await.unwrap();
        let lines: Vec<_> = lines.iter().map(|line| text::<DB>(line, 0).unwrap()).collect();
        plans.push((text::<DB>(row, 0).unwrap(), lines.join("\n")));
    }
    plans
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_about_steps_reads_a_whole_ledger_of_which_nothing_is_known_yet() {
    for plans in [plans::<sqlx::Postgres>().await, plans::<Any>().await] {
        assert_eq!(plans.len(), 18);
        for (statement, plan) in plans {
            assert!(!plan.contains("Seq Scan on pavane_ledger"), "{statement}\n{plan}");
            assert!(plan.contains("pavane_ledger_pkey") || statement.starts_with("insert"), "{statement}\n{plan}");
        }
    }
}

/// Two instances publish the same letter. Before the second one deletes it, another letter is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_not_deleted_in_place_of_one_that_was_published_before() {
    let letter = |message_id: &str| Outgoing {
        subject: "dead.flight.reserve-seat".to_owned(),
        headers: Headers::default(),
        payload: Vec::new().into(),
        message_id: message_id.to_owned(),
    };
    for (db, _folder) in each().await {
        let keep = async |letter| {
            let mut tx = begin(&db).await;
            dead_letter::store::keep(&mut tx, STEP, letter).await.unwrap();
            tx.commit().await.unwrap();
        };
        keep(letter("first")).await;
        let published: Vec<_> =
            dead_letter::store::waiting(&db, 9).await.unwrap().into_iter().map(|letter| letter.id).collect();
        dead_letter::store::published(&db, &published).await.unwrap();
        keep(letter("second")).await;
        dead_letter::store::published(&db, &published).await.unwrap();
        let left = dead_letter::store::waiting(&db, 9).await.unwrap();
        assert_eq!(left.iter().map(|letter| letter.message.message_id.as_str()).collect::<Vec<_>>(), ["second"]);
    }
}
