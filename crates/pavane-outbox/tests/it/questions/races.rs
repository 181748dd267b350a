//! Two people at once, a person and the relay, and a process that dies.

use std::time::Duration;

use pavane_contract::SagaId;
use pavane_outbox::{Db, Decision, Error, internal::CrashPoint};
use sqlx::Any;
use tokio::{task::JoinHandle, time::timeout};

use super::{Closed, PriceApproved, PriceRefused, approve, asked, emissions, kept, names, open, order, published};
use crate::shelf::Shelf;

const SOON: Duration = Duration::from_secs(20);

/// Someone who answers in another instance.
fn answering(db: &Db<Any>, saga: SagaId, by: &'static str) -> JoinHandle<Result<(), Error>> {
    let db = db.clone();
    tokio::spawn(async move { approve(&db, saga, by).await })
}

/// Waits until somebody waits for a lock.
async fn until_one_waits(shelf: &Shelf) {
    let waits = async {
        while shelf.count("select count(*) from pg_locks where not granted").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, waits).await.expect("nobody waits");
}

#[tokio::test]
async fn of_two_answers_at_once_one_waits_and_is_told_about_the_other() {
    for commits in [true, false] {
        let shelf = Shelf::on_postgres().await;
        let second = shelf.second_instance().await;
        let saga = asked(&shelf).await;
        let mut first = shelf.db.answer(saga, "clerk-7", emissions("approve")).await.unwrap();
        first.emit(&PriceRefused::a()).await.unwrap();
        let waiting = answering(&second.db, saga, "clerk-8");
        until_one_waits(&shelf).await;
        if commits {
            first.commit().await.unwrap();
        } else {
            first.rollback().await.unwrap();
        }
        let answered = timeout(SOON, waiting).await.expect("it waits for ever").unwrap();
        if commits {
            let Err(Error::Answered { by, with, .. }) = answered else { panic!("{answered:?}") };
            assert_eq!((&*by, with.as_deref()), ("clerk-7", Some("shelf.price-refused")));
            assert_eq!(names(&published(&shelf).await), ["price-asked", "price-refused"]);
        } else {
            answered.unwrap();
            assert_eq!(names(&published(&shelf).await), ["price-asked", "price-approved"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_answers_at_once_one_wins() {
    for shelf in Shelf::each().await {
        let second = shelf.second_instance().await;
        let saga = asked(&shelf).await;
        let answers: Vec<_> = (0..16)
            .map(|number| answering(if number % 2 == 0 { &shelf.db } else { &second.db }, saga, "clerk"))
            .collect();
        let mut won = 0;
        for answer in answers {
            match answer.await.unwrap() {
                Ok(()) => won += 1,
                Err(Error::Answered { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!((won, names(&published(&shelf).await)), (1, vec!["price-asked", "price-approved"]));
    }
}

#[tokio::test]
async fn an_answer_while_the_relay_moves_the_timer_waits_for_the_relay() {
    for is_moved in [true, false] {
        let shelf = Shelf::on_postgres().await;
        let saga = asked(&shelf).await;
        let mut relay = shelf.db.writers().begin().await.unwrap();
        sqlx::query("delete from pavane_timer").execute(&mut *relay).await.unwrap();
        let waiting = answering(&shelf.db, saga, "clerk-7");
        until_one_waits(&shelf).await;
        if is_moved {
            relay.commit().await.unwrap();
        } else {
            relay.rollback().await.unwrap();
        }
        let answered = timeout(SOON, waiting).await.expect("it waits for ever").unwrap();
        assert_eq!(matches!(answered, Err(Error::Expired { .. })), is_moved, "{answered:?}");
        assert_eq!(answered.is_ok(), !is_moved);
    }
}

#[tokio::test]
async fn an_answer_while_the_saga_is_decided_waits_for_the_outcome() {
    let shelf = Shelf::on_postgres().await;
    let saga = asked(&shelf).await;
    let mut deciding = order(&shelf.db, saga).await;
    assert_eq!(deciding.decide(&Closed::a()).await.unwrap(), Decision::Won);
    let waiting = answering(&shelf.db, saga, "clerk-7");
    until_one_waits(&shelf).await;
    deciding.commit().await.unwrap();
    let answered = timeout(SOON, waiting).await.expect("it waits for ever").unwrap();
    assert!(matches!(answered, Err(Error::Decided { .. })), "{answered:?}");
}

#[tokio::test]
async fn a_process_that_dies_around_the_commit_leaves_the_question_open_or_answered() {
    for point in [CrashPoint::BeforeCommit, CrashPoint::AfterCommit] {
        for shelf in Shelf::each().await {
            let survivor = shelf.second_instance().await;
            let saga = asked(&shelf).await;
            shelf.gate.close(point);
            let dying = answering(&shelf.db, saga, "clerk-7");
            shelf.gate.reached().await;
            dying.abort();
            assert!(dying.await.unwrap_err().is_cancelled());
            let again = approve(&survivor.db, saga, "clerk-8").await;
            if point == CrashPoint::BeforeCommit {
                again.unwrap();
                assert_eq!(kept(&survivor).await, ["approve clerk-8 shelf.price-approved"]);
            } else {
                assert!(matches!(again, Err(Error::Answered { by, .. }) if by == "clerk-7"));
                assert_eq!(kept(&survivor).await, ["approve clerk-7 shelf.price-approved"]);
            }
            assert_eq!(names(&published(&survivor).await), ["price-asked", "price-approved"]);
        }
    }
}

/// The server ends the session of someone who answers, as it does when the host is gone.
#[tokio::test]
async fn a_connection_that_dies_before_the_commit_leaves_the_question_open() {
    let shelf = Shelf::on_postgres().await;
    let saga = asked(&shelf).await;
    let mut tx = shelf.db.answer(saga, "clerk-7", emissions("approve")).await.unwrap();
    tx.emit(&PriceApproved::a()).await.unwrap();
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(tx.conn()).await.unwrap();
    let killed: bool =
        sqlx::query_scalar("select pg_terminate_backend($1)").bind(pid).fetch_one(shelf.db.writers()).await.unwrap();
    assert!(killed && tx.commit().await.is_err());
    let open_again = async {
        while open(&shelf).await != [saga] {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, open_again).await.expect("the dead session keeps it");
    approve(&shelf.db, saga, "clerk-8").await.unwrap();
    assert_eq!(names(&published(&shelf).await), ["price-asked", "price-approved"]);
}
