//! Steps and their undos, in every order.

use pavane::{SagaId, database::Dialect};
use pavane_contract::{EventId, SystemClock};
use pavane_inbox::internal::turn_now;

use crate::stage::{Cancelled, Stage, Started, databases, envelope, until};

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_undoes_what_its_step_did_once() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let saga = stage.start("undo").await;
        stage.settle().await;
        stage.cancel(saga, "undo").await;
        stage.cancel(saga, "undo").await;
        stage.settle().await;
        assert_eq!(stage.done("undo").await, ["charge", "refund", "step", "undo-step"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_comes_first_bars_its_step() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let saga = SagaId::new(&SystemClock);
        stage.publish(saga, &Cancelled { key: "early".into() }).await;
        stage.settle().await;
        stage.publish(saga, &Started { key: "early".into() }).await;
        stage.settle().await;
        assert!(stage.done("early").await.is_empty());
        assert!(stage.script.calls.lock().unwrap().is_empty(), "the provider must not be called");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_said_no_has_nothing_to_undo() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        for key in ["refuse-it", "decline-it"] {
            let saga = stage.start(key).await;
            stage.settle().await;
            stage.cancel(saga, key).await;
            stage.settle().await;
        }
        assert_eq!(stage.done("refuse-it").await, ["charge", "refund", "step"]);
        assert_eq!(stage.done("decline-it").await, ["decline", "step", "undo-step"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_waits_for_an_effect_that_is_running_and_then_undoes_it() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let provider = stage.script.provider.lock().await;
        let saga = stage.start("slow").await;
        until("the call", || async { (!stage.script.calls.lock().unwrap().is_empty()).then_some(()) }).await;
        // Barred before it ran, it would say nothing.
        until("the step", || async { (stage.done("slow").await == ["step"]).then_some(()) }).await;
        stage.cancel(saga, "slow").await;
        until("the undo to have come and waited", || async {
            stage.said("slow").contains(&"stage.undone".to_owned()).then_some(())
        })
        .await;
        assert_eq!(stage.done("slow").await, ["step", "undo-step"]);
        drop(provider);
        stage.settle().await;
        assert_eq!(stage.done("slow").await, ["charge", "refund", "step", "undo-step"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_again_under_the_same_key() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        *stage.script.outages.lock().unwrap() = 4;
        stage.start("retry").await;
        stage.settle().await;
        let calls = stage.script.calls.lock().unwrap().clone();
        assert_eq!(calls.len(), 5, "an outage does not use up the three attempts");
        assert!(calls.iter().all(|call| *call == calls[0]), "{calls:?}");
        assert_eq!(stage.done("retry").await, ["charge", "step"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_is_rejected_does_not_keep_its_undo_waiting() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let saga = stage.start("impossible").await;
        stage.settle().await;
        assert_eq!(stage.bus.messages("DEAD_LETTERS").len(), 1);
        stage.cancel(saga, "impossible").await;
        stage.settle().await;
        assert_eq!(stage.done("impossible").await, ["step", "undo-step"]);
        assert_eq!(stage.script.calls.lock().unwrap().len(), 1, "there is nothing to refund");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_waits_bars_a_step_whose_effect_is_rejected() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let provider = stage.script.provider.lock().await;
        let saga = stage.start("impossible").await;
        until("the call", || async { (!stage.script.calls.lock().unwrap().is_empty()).then_some(()) }).await;
        // Barred before it ran, it would say nothing.
        until("the step", || async { (stage.done("impossible").await == ["step"]).then_some(()) }).await;
        stage.cancel(saga, "impossible").await;
        until("the undo to wait", || async { (stage.undos_waiting().await == 1).then_some(()) }).await;
        drop(provider);
        stage.settle().await;
        assert_eq!(stage.done("impossible").await, ["step", "undo-step"]);
        assert_eq!(stage.script.calls.lock().unwrap().len(), 1, "there is nothing to refund");
        assert_eq!(states(&stage, "barred").await, 1);
    }
}

/// How many sagas' `charge` is in a state.
async fn states(stage: &Stage, wanted: &str) -> i64 {
    let count = sqlx::query_scalar("select count(*) from pavane_ledger where step = 'charge' and state = $1");
    count.bind(wanted.to_owned()).fetch_one(stage.db.readers()).await.unwrap()
}

/// More than a consumer may have unsettled at the broker.
#[tokio::test(flavor = "multi_thread")]
async fn undos_that_wait_do_not_keep_others_from_being_undone_and_survive_a_restart() {
    const WAITING: i64 = 1001;
    for database in databases().await {
        let stage = Stage::open(database).await;
        let sagas: Vec<_> = (0..WAITING).map(|_| SagaId::new(&SystemClock)).collect();
        let rows: Vec<_> = sagas.iter().map(|saga| format!("('{saga}', 'charge', 'running', 0)")).collect();
        let running = format!("insert into pavane_ledger (saga, step, state, changed_at) values {}", rows.join(", "));
        sqlx::raw_sql(sqlx::AssertSqlSafe(running)).execute(stage.db.writers()).await.unwrap();
        for saga in &sagas {
            stage.publish(*saga, &Cancelled { key: "running".into() }).await;
        }
        let saga = stage.start("other").await;
        until("the charge", || async { stage.done("other").await.contains(&"charge".to_owned()).then_some(()) }).await;
        stage.cancel(saga, "other").await;
        until("the refund", || async { stage.done("other").await.contains(&"refund".to_owned()).then_some(()) }).await;
        until("all to wait", || async { (stage.undos_waiting().await == WAITING).then_some(()) }).await;
        let stage = stage.restart().await;
        assert_eq!(stage.undos_waiting().await, WAITING);
        // As if an effect had been rejected, in another instance.
        let end = format!("delete from pavane_ledger where saga = '{}'", sagas[0]);
        sqlx::raw_sql(sqlx::AssertSqlSafe(end)).execute(stage.db.writers()).await.unwrap();
        until("its undo to bar it", || async { (states(&stage, "barred").await == 1).then_some(()) }).await;
        until("it to wait no more", || async { (stage.undos_waiting().await == WAITING - 1).then_some(()) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_can_not_be_read_leaves_nothing_running_that_an_undo_would_wait_for() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let saga = SagaId::new(&SystemClock);
        let mut poison = envelope(EventId::new(&SystemClock), saga, &Started { key: "poison".into() });
        poison.body = "{".into();
        stage.publish_raw(&poison, "poison").await;
        stage.settle().await;
        stage.publish(saga, &Cancelled { key: "poison".into() }).await;
        stage.settle().await;
        assert_eq!(stage.bus.messages("DEAD_LETTERS").len(), 2);
        assert!(stage.done("poison").await.is_empty());
        assert!(stage.script.calls.lock().unwrap().is_empty(), "the provider must not be called");
    }
}

/// An effect that is rejected makes its delivery forget the step, while another delivery of the event may be about to look it
/// up. The trigger shows that one what it would see: a step that is there when it is to be started, and gone a statement later.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_forgotten_while_another_delivery_looks_is_not_taken_for_handled() {
    for database in databases().await {
        let (stage, mut charge) = Stage::by_hand(database, "charge").await;
        let (forget, remember) = match stage.db.dialect() {
            Dialect::Postgres => (
                "create function forget() returns trigger language plpgsql as 'begin return null; end'; \
                 create trigger forget before insert on pavane_ledger for each row execute function forget()",
                "drop trigger forget on pavane_ledger",
            ),
            Dialect::Sqlite => (
                "create trigger forget before insert on pavane_ledger begin select raise(ignore); end",
                "drop trigger forget",
            ),
        };
        let started = Started { key: "forgotten".into() };
        let event = envelope(EventId::new(&SystemClock), SagaId::new(&SystemClock), &started);
        stage.publish_raw(&event, "first").await;
        sqlx::raw_sql(forget).execute(stage.db.writers()).await.unwrap();
        assert_eq!(turn_now(&mut charge, 1).await.unwrap(), 1);
        assert!(stage.script.calls.lock().unwrap().is_empty(), "whether it may be called isn't known");
        sqlx::raw_sql(remember).execute(stage.db.writers()).await.unwrap();
        stage.redrive(stage.keep_letter("charge", &event).await).await;
        assert_eq!(turn_now(&mut charge, 1).await.unwrap(), 1);
        assert_eq!(stage.done("forgotten").await, ["charge"], "a redrive must not be skipped");
    }
}
