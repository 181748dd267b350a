//! Questions of transactions that are the user's, and of SQL.

use pavane_contract::SagaId;
use pavane_outbox::{Correlation, Error};
use sqlx::postgres::PgDatabaseError;

use super::{
    ApprovalExpired, DAY, PriceApproved, PriceAsked, approve, asked, emissions, kept, names, open, outbox, published,
};
use crate::shelf::Shelf;

#[tokio::test]
async fn in_a_users_transaction_a_question_is_asked_with_the_users_commit() {
    let shelf = Shelf::on_postgres().await;
    let saga = SagaId::new(&shelf.clock);
    for commits in [false, true] {
        let mut tx = shelf.db.writers().begin().await.unwrap();
        let mut guest = shelf.db.guest(&mut *tx, Correlation::of(saga), emissions("order")).unwrap();
        guest.emit(&PriceAsked::a()).await.unwrap();
        guest.emit_after(DAY, &ApprovalExpired::a()).await.unwrap();
        assert!(matches!(guest.emit(&PriceAsked::a()).await, Err(Error::AskedTwice { .. })));
        if commits {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        assert_eq!(open(&shelf).await, if commits { vec![saga] } else { vec![] });
    }
    approve(&shelf.db, saga, "clerk-7").await.unwrap();
    let events = published(&shelf).await;
    assert_eq!(names(&events), ["price-asked", "price-approved"]);
    assert_eq!(events[1].meta.cause.event, Some(events[0].meta.id));
}

#[tokio::test]
async fn in_a_users_transaction_a_question_is_answered_with_the_users_commit() {
    let shelf = Shelf::on_postgres().await;
    let saga = asked(&shelf).await;
    for commits in [false, true] {
        let mut tx = shelf.db.writers().begin().await.unwrap();
        let mut guest = shelf.db.answering_guest(&mut *tx, (saga, "clerk-7"), emissions("approve")).await.unwrap();
        assert_eq!(guest.saga(), saga);
        guest.emit(&PriceApproved::a()).await.unwrap();
        if commits {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
            assert_eq!(open(&shelf).await, [saga]);
        }
    }
    assert_eq!(kept(&shelf).await, ["approve clerk-7 shelf.price-approved"]);
    let mut tx = shelf.db.writers().begin().await.unwrap();
    let again = shelf.db.answering_guest(&mut *tx, (saga, "clerk-8"), emissions("approve")).await.unwrap_err();
    assert!(matches!(again, Error::Answered { .. }), "{again}");
    let joined = shelf.db.guest(&mut *tx, Correlation::of(saga), emissions("approve")).unwrap_err();
    assert!(matches!(joined, Error::Answers { .. }), "{joined}");
    drop(tx);
    assert_eq!(shelf.count("select count(*) from pavane_timer").await, 0);
    let mut conn = shelf.db.writer().await.unwrap();
    let nowhere = shelf.db.answering_guest(&mut conn, (saga, "clerk-8"), emissions("approve")).await.unwrap_err();
    assert!(matches!(nowhere, Error::NoTransaction), "{nowhere}");
    drop(conn);
    let events = published(&shelf).await;
    assert_eq!(
        (names(&events), events[1].meta.cause.event),
        (vec!["price-asked", "price-approved"], Some(events[0].meta.id))
    );
    let [sqlite, _] = Shelf::each().await;
    let mut tx = sqlite.db.writers().begin().await.unwrap();
    assert!(matches!(
        sqlite.db.answering_guest(&mut *tx, (saga, "x"), emissions("approve")).await,
        Err(Error::NoGuest)
    ));
}

/// Runs a statement; or why it was refused.
async fn run(shelf: &Shelf, sql: String) -> Result<(), String> {
    let ran = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *shelf.db.writer().await.unwrap()).await;
    ran.map(drop).map_err(|error| {
        let error = error.as_database_error().unwrap().downcast_ref::<PgDatabaseError>();
        format!("{} {}; {}", error.code(), error.message(), error.hint().unwrap_or_default())
    })
}

#[tokio::test]
async fn from_sql_a_question_is_asked_as_from_rust() {
    let shelf = Shelf::on_postgres().await;
    shelf.db.declare_entries(&super::manifest()).await.unwrap();
    let saga = SagaId::new(&shelf.clock);
    let emit = |entry: &str, event: &str, more: &str| {
        format!(
            "select pavane_emit('{{\"entry\": \"{entry}\", \"type\": \"shelf.{event}\", \"key\": \"a\", \
                 \"data\": {{\"key\": \"a\"}}, \"saga\": \"{saga}\"{more}}}')::text; "
        )
    };
    let ask = emit("order", "price-asked", "") + &emit("order", "approval-expired", ", \"after\": 3600");
    run(&shelf, format!("begin; {ask} rollback")).await.unwrap();
    assert!(matches!(approve(&shelf.db, saga, "clerk-7").await, Err(Error::NotAsked { .. })));
    run(&shelf, format!("begin; {ask} commit")).await.unwrap();
    let [question] = &shelf.db.open_questions(&emissions("approve"), 10).await.unwrap()[..] else { panic!() };
    assert_eq!(question.event.decode::<PriceAsked>().unwrap().body, PriceAsked::a());
    let (id, subject) = outbox(&shelf).await.remove(0);
    assert_eq!((question.event.meta.id, &*subject), (id, "events.shelf.price-asked.a"));
    let asked_twice = run(&shelf, emit("order", "price-asked", "")).await.unwrap_err();
    assert!(asked_twice.starts_with(&format!("23505 the saga {saga} asked shelf.price-asked before")), "{asked_twice}");
    let answered = run(&shelf, emit("approve", "price-approved", "")).await.unwrap_err();
    assert_eq!(
        answered,
        "22023 shelf/approve answers shelf.price-asked, and an answer names who gives it; let the service answer: docs/questions.md"
    );
    approve(&shelf.db, saga, "clerk-7").await.unwrap();
    let events = published(&shelf).await;
    assert_eq!((names(&events), events[1].meta.cause.event), (vec!["price-asked", "price-approved"], Some(id)));
}
