//! Questions to people: asked once, answered once, until they expire.

mod races;
mod sql;

use std::time::Duration;

use pavane_bus::topology::EVENTS;
use pavane_choreography::{Emission, Entry, Manifest, Question};
use pavane_contract::{Cause, Clock as _, Event, EventId, EventRef, RawEnvelope, SagaId, codec};
use pavane_outbox::{Correlation, Db, Decision, Emissions, Error, Tx, internal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::Any;

use crate::shelf::{Shelf, run_dry};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

macro_rules! event {
    ($name:ident, $wire:literal) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $wire, key = key)]
        struct $name {
            key: String,
        }

        impl $name {
            fn a() -> Self {
                Self { key: "a".to_owned() }
            }
        }
    };
}

event!(PriceAsked, "shelf.price-asked");
event!(ApprovalExpired, "shelf.approval-expired");
event!(PriceApproved, "shelf.price-approved");
event!(PriceRefused, "shelf.price-refused");
event!(ProofAsked, "shelf.proof-asked");
event!(Proved, "shelf.proved");
event!(Closed, "shelf.closed");

/// A service that asks for two things: for a price until it expires, and for a proof as long as the saga lasts.
fn manifest() -> Manifest {
    let entry = |name: &str, emits, answers| Entry { name: name.to_owned(), emits, answers };
    let price = Question { asks: EventRef::of::<PriceAsked>(), expires_with: Some(EventRef::of::<ApprovalExpired>()) };
    let proof = Question { asks: EventRef::of::<ProofAsked>(), expires_with: None };
    let order = vec![
        Emission::Maybe(vec![EventRef::of::<PriceAsked>(), EventRef::of::<ProofAsked>()]),
        Emission::Scheduled(vec![EventRef::of::<ApprovalExpired>()]),
        Emission::Outcome(vec![EventRef::of::<Closed>()]),
    ];
    let answers = vec![Emission::OneOf(vec![EventRef::of::<PriceApproved>(), EventRef::of::<PriceRefused>()])];
    let entries = vec![
        entry("order", order, None),
        entry("approve", answers, Some(price)),
        entry("prove", vec![Emission::All(vec![EventRef::of::<Proved>()])], Some(proof)),
    ];
    let (reactions, events, outlive_outcome) = (Vec::new(), Vec::new(), Vec::new());
    Manifest { service: "shelf".to_owned(), entries, reactions, events, outlive_outcome }
}

fn emissions(entry: &str) -> Emissions {
    let manifest = manifest();
    Emissions::at(&manifest, manifest.entries.iter().find(|it| it.name == entry).unwrap())
}

async fn order(db: &Db<Any>, saga: SagaId) -> Tx<Any> {
    db.begin(Correlation::of(saga), emissions("order")).await.unwrap()
}

/// A saga that asks for a price.
async fn asked(shelf: &Shelf) -> SagaId {
    let saga = SagaId::new(&shelf.clock);
    let mut tx = order(&shelf.db, saga).await;
    ask(&mut tx, DAY).await.unwrap();
    tx.commit().await.unwrap();
    saga
}

async fn ask(tx: &mut Tx<Any>, within: Duration) -> Result<(), Error> {
    tx.emit(&PriceAsked::a()).await?;
    tx.emit_after(within, &ApprovalExpired::a()).await
}

/// Someone answers.
async fn approve(db: &Db<Any>, saga: SagaId, by: &str) -> Result<(), Error> {
    let mut tx = db.answer(saga, by, emissions("approve")).await?;
    tx.emit(&PriceApproved::a()).await?;
    tx.commit().await
}

/// The open questions for a price.
async fn open(shelf: &Shelf) -> Vec<SagaId> {
    let open = shelf.db.open_questions(&emissions("approve"), 10).await.unwrap();
    open.into_iter().map(|question| question.saga).collect()
}

/// What is kept: who answered what with what.
async fn kept(shelf: &Shelf) -> Vec<String> {
    let kept = "select entry || coalesce(' ' || answered_by, '') || coalesce(' ' || answer, '') from pavane_question order by 1";
    sqlx::query_scalar(kept).fetch_all(shelf.db.writers()).await.unwrap()
}

async fn published(shelf: &Shelf) -> Vec<RawEnvelope> {
    let mut relay = shelf.relay();
    run_dry(&mut relay).await;
    relay.release().await.unwrap();
    let stored = shelf.bus.messages(EVENTS).into_iter().map(|stored| stored.message);
    stored.map(|message| codec::decode(&message.headers, message.payload, 1 << 20).unwrap()).collect()
}

fn names(events: &[RawEnvelope]) -> Vec<&str> {
    events.iter().map(|event| event.meta.event.name.trim_start_matches("shelf.")).collect()
}

#[tokio::test]
async fn a_question_is_answered_once_and_the_answer_continues_it() {
    for shelf in Shelf::each().await {
        let saga = asked(&shelf).await;
        let [question] = &shelf.db.open_questions(&emissions("approve"), 10).await.unwrap()[..] else { panic!() };
        assert_eq!((question.saga, question.event.meta.cause.saga), (saga, saga));
        assert_eq!(question.event.decode::<PriceAsked>().unwrap().body, PriceAsked::a());
        assert_eq!(question.expires_at.unwrap().duration_since(question.asked_at), DAY.try_into().unwrap());
        let mut tx = shelf.db.answer(saga, "clerk-7", emissions("approve")).await.unwrap();
        assert_eq!(tx.question().unwrap().meta.id, question.event.meta.id);
        tx.emit(&PriceApproved::a()).await.unwrap();
        tx.commit().await.unwrap();

        assert_eq!(
            (open(&shelf).await, kept(&shelf).await),
            (vec![], vec!["approve clerk-7 shelf.price-approved".to_owned()])
        );
        assert_eq!(shelf.count("select count(*) from pavane_timer").await, 0, "its timer");
        let Err(Error::Answered { by, with, .. }) = approve(&shelf.db, saga, "clerk-8").await else { panic!() };
        assert_eq!((&*by, with.as_deref()), ("clerk-7", Some("shelf.price-approved")));
        let events = published(&shelf).await;
        assert_eq!(names(&events), ["price-asked", "price-approved"]);
        let Cause { saga: of, started, event, .. } = &events[1].meta.cause;
        assert_eq!((of, started, event), (&saga, &events[0].meta.cause.started, &Some(events[0].meta.id)));
    }
}

#[tokio::test]
async fn no_question_can_be_answered_that_was_not_asked() {
    for shelf in Shelf::each().await {
        let saga = SagaId::new(&shelf.clock);
        let early = approve(&shelf.db, saga, "clerk-7").await.unwrap_err();
        assert!(matches!(early, Error::NotAsked { .. }), "{early}");
        assert_eq!(
            early.to_string(),
            format!("shelf/approve answers shelf.price-asked v1, which the saga {saga} has not asked (yet)")
        );
        let mut tx = order(&shelf.db, saga).await;
        ask(&mut tx, DAY).await.unwrap();
        tx.rollback().await.unwrap();
        assert!(matches!(approve(&shelf.db, saga, "clerk-7").await, Err(Error::NotAsked { .. })), "it rolled back");
        // Another question of the same saga.
        let mut tx = order(&shelf.db, saga).await;
        tx.emit(&ProofAsked::a()).await.unwrap();
        tx.commit().await.unwrap();
        assert!(matches!(approve(&shelf.db, saga, "clerk-7").await, Err(Error::NotAsked { .. })));
        // An old saga was perhaps asked, and nobody knows.
        shelf.pass(DAY * 46).await;
        assert!(matches!(approve(&shelf.db, saga, "clerk-7").await, Err(Error::Forgotten { .. })));
    }
}

#[tokio::test]
async fn an_answer_that_rolls_back_or_says_nothing_leaves_the_question_open() {
    for shelf in Shelf::each().await {
        let saga = asked(&shelf).await;
        let mut tx = shelf.db.answer(saga, "clerk-7", emissions("approve")).await.unwrap();
        tx.emit(&PriceApproved::a()).await.unwrap();
        tx.rollback().await.unwrap();
        assert_eq!((open(&shelf).await, kept(&shelf).await), (vec![saga], vec!["approve".to_owned()]));

        let silent = shelf.db.answer(saga, "clerk-7", emissions("approve")).await.unwrap().commit().await.unwrap_err();
        assert!(matches!(silent, Error::Unanswered { .. }), "{silent}");
        let mut both = shelf.db.answer(saga, "clerk-7", emissions("approve")).await.unwrap();
        both.emit(&PriceApproved::a()).await.unwrap();
        both.emit(&PriceRefused::a()).await.unwrap();
        assert!(matches!(both.commit().await, Err(Error::Unanswered { .. })));
        assert_eq!((open(&shelf).await, shelf.count("select count(*) from pavane_timer").await), (vec![saga], 1));
        approve(&shelf.db, saga, "clerk-7").await.unwrap();
        assert_eq!(names(&published(&shelf).await), ["price-asked", "price-approved"]);
    }
}

#[tokio::test]
async fn a_question_that_has_expired_is_not_answered() {
    for shelf in Shelf::each().await {
        let saga = asked(&shelf).await;
        shelf.pass(DAY).await;
        // Due, and still there: the answer comes first.
        assert_eq!(open(&shelf).await, [saga]);
        let late = asked(&shelf).await;
        approve(&shelf.db, saga, "clerk-7").await.unwrap();
        shelf.pass(DAY).await;
        assert_eq!(
            names(&published(&shelf).await),
            ["price-asked", "price-asked", "price-approved", "approval-expired"]
        );
        let refused = approve(&shelf.db, late, "clerk-7").await.unwrap_err();
        assert!(matches!(refused, Error::Expired { .. }), "{refused}");
        assert!(refused.to_string().ends_with("shelf.approval-expired v1 has come due, or was cancelled"), "{refused}");
        assert_eq!(open(&shelf).await, []);
    }
}

#[tokio::test]
async fn an_outcome_closes_the_questions_of_its_saga_and_no_later_ones() {
    for shelf in Shelf::each().await {
        let saga = asked(&shelf).await;
        let mut tx = order(&shelf.db, saga).await;
        tx.emit(&ProofAsked::a()).await.unwrap();
        tx.commit().await.unwrap();
        shelf.pass(HOUR).await;
        let mut tx = order(&shelf.db, saga).await;
        assert_eq!(tx.decide(&Closed::a()).await.unwrap(), Decision::Won);
        tx.commit().await.unwrap();
        for entry in ["approve", "prove"] {
            let closed = shelf.db.answer(saga, "clerk-7", emissions(entry)).await.unwrap_err();
            let Error::Decided { outcome, .. } = closed else { panic!("{closed}") };
            assert_eq!(outcome, "shelf.closed");
            assert!(shelf.db.open_questions(&emissions(entry), 10).await.unwrap().is_empty());
        }
        let saga = SagaId::new(&shelf.clock);
        let mut tx = order(&shelf.db, saga).await;
        assert_eq!(tx.decide(&Closed::a()).await.unwrap(), Decision::Won);
        tx.commit().await.unwrap();
        shelf.pass(HOUR).await;
        let mut tx = order(&shelf.db, saga).await;
        tx.emit(&ProofAsked::a()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(shelf.db.open_questions(&emissions("prove"), 10).await.unwrap()[0].saga, saga);
        let mut tx = shelf.db.answer(saga, "clerk-7", emissions("prove")).await.unwrap();
        tx.emit(&Proved::a()).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_saga_asks_once() {
    for shelf in Shelf::each().await {
        let saga = asked(&shelf).await;
        let mut again = order(&shelf.db, saga).await;
        ask(&mut again, DAY).await.unwrap();
        let refused = again.commit().await.unwrap_err();
        assert!(matches!(refused, Error::AskedTwice { .. }), "{refused}");
        assert!(refused.to_string().starts_with("shelf/order emits shelf.price-asked v1, which the saga"), "{refused}");
        approve(&shelf.db, saga, "clerk-7").await.unwrap();
        let mut again = order(&shelf.db, saga).await;
        ask(&mut again, DAY).await.unwrap();
        assert!(matches!(again.commit().await, Err(Error::AskedTwice { .. })), "it was answered");
        let mut twice = order(&shelf.db, SagaId::new(&shelf.clock)).await;
        ask(&mut twice, DAY).await.unwrap();
        assert!(matches!(twice.emit(&PriceAsked::a()).await, Err(Error::AskedTwice { .. })));
    }
}

/// A batch of events is one transaction, of several sagas.
#[tokio::test]
async fn the_questions_of_many_sagas_are_asked_at_once() {
    const SAGAS: usize = 1500;
    for shelf in Shelf::each().await {
        let sagas: Vec<_> = (0..SAGAS).map(|_| SagaId::new(&shelf.clock)).collect();
        let (mut tx, now) = (order(&shelf.db, sagas[0]).await, shelf.clock.now());
        for saga in &sagas {
            internal::enter(&mut tx, Cause::new(*saga, now), emissions("order"));
            ask(&mut tx, DAY).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert_eq!(shelf.count("select count(*) from pavane_question").await, 1500);
        approve(&shelf.db, sagas[700], "clerk-7").await.unwrap();
        assert_eq!(shelf.db.open_questions(&emissions("approve"), 10_000).await.unwrap().len(), SAGAS - 1);
        assert_eq!(shelf.db.open_questions(&emissions("approve"), 7).await.unwrap().len(), 7);
    }
}

#[tokio::test]
async fn questions_are_kept_as_long_as_their_saga_is_remembered() {
    for shelf in Shelf::each().await {
        let saga = asked(&shelf).await;
        approve(&shelf.db, saga, "clerk-7").await.unwrap();
        let mut tx = order(&shelf.db, saga).await;
        tx.emit(&ProofAsked::a()).await.unwrap();
        tx.commit().await.unwrap();
        shelf.pass(DAY * 44).await;
        let mut relay = shelf.relay();
        run_dry(&mut relay).await;
        assert!(matches!(approve(&shelf.db, saga, "clerk-8").await, Err(Error::Answered { .. })));
        shelf.pass(DAY * 2).await;
        for kept in [2, 0] {
            assert_eq!(shelf.count("select count(*) from pavane_question").await, kept);
            let old = shelf.db.answer(saga, "clerk-8", emissions("prove")).await.unwrap_err();
            assert!(matches!(old, Error::Forgotten { .. }), "{old}");
            run_dry(&mut relay).await;
        }
    }
}

#[tokio::test]
async fn a_question_that_is_to_expire_has_a_timer() {
    for shelf in Shelf::each().await {
        let saga = SagaId::new(&shelf.clock);
        let mut endless = order(&shelf.db, saga).await;
        endless.emit(&PriceAsked::a()).await.unwrap();
        let refused = endless.commit().await.unwrap_err();
        assert!(matches!(refused, Error::NeverExpires { .. }), "{refused}");
        assert!(refused.to_string().contains("has no timer for shelf.approval-expired v1"), "{refused}");
        // First or last is all the same.
        let mut tx = order(&shelf.db, saga).await;
        tx.emit_after(DAY, &ApprovalExpired::a()).await.unwrap();
        tx.emit(&PriceAsked::a()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(open(&shelf).await, [saga]);
    }
}

#[tokio::test]
async fn each_entry_point_begins_in_its_own_way() {
    let [shelf, _] = Shelf::each().await;
    let saga = asked(&shelf).await;
    let begun = shelf.db.begin(Correlation::of(saga), emissions("approve")).await.unwrap_err();
    assert_eq!(
        begun.to_string(),
        "shelf/approve answers shelf.price-asked v1: begin with answer(saga, by), which finds the question and keeps who answered it"
    );
    let answered = shelf.db.answer(saga, "clerk-7", emissions("order")).await.unwrap_err();
    assert!(matches!(answered, Error::AnswersNothing(_)), "{answered}");
    assert!(matches!(shelf.db.open_questions(&emissions("order"), 1).await, Err(Error::AnswersNothing(_))));
}

/// What a transaction asks that its handler ended is asked by no transaction.
#[tokio::test]
async fn outside_of_its_transaction_nothing_is_asked() {
    for shelf in Shelf::each().await {
        let mut tx = order(&shelf.db, SagaId::new(&shelf.clock)).await;
        tx.emit(&ProofAsked::a()).await.unwrap();
        for _ in 0..999 {
            tx.emit_after(DAY, &ApprovalExpired::a()).await.unwrap();
        }
        // By now the events are written, and the question waits for the commit.
        sqlx::query("rollback").execute(tx.conn()).await.unwrap();
        assert!(matches!(tx.commit().await, Err(Error::Ended)));
        assert_eq!(kept(&shelf).await, [""; 0]);
    }
}

/// The ids in the outbox, with their events.
async fn outbox(shelf: &Shelf) -> Vec<(EventId, String)> {
    let rows = "select event_id::text, subject from pavane_outbox order by seq";
    let rows: Vec<(String, String)> = sqlx::query_as(rows).fetch_all(shelf.db.writers()).await.unwrap();
    rows.into_iter().map(|(id, subject)| (id.parse().unwrap(), subject)).collect()
}
