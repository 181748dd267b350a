//! Effects at a gateway that has no idempotency keys.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use pavane::{
    Envelope, Event, Handled, HandlerError, Key,
    any::{Call, Service, Tx},
    on_effect,
};
use pavane_inbox::dedupe::{self, Claim, DedupeStore as _, MemoryStore, SqlStore};
use pavane_testkit::{Stage, given};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Ahead;

const HOUR: Duration = Duration::from_hours(1);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Sent {}

impl Event for Sent {
    const NAME: &'static str = "carrier.sent";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        "1".into()
    }
}

/// A gateway for text messages: it sends what it is given, however often. Each message has a number.
#[derive(Debug, Default)]
struct Gateway {
    sent: AtomicU32,
    /// So many calls fail before it sends anything.
    away: AtomicU32,
    /// So many records fail.
    bugs: AtomicU32,
}

type State = Arc<Gateway>;

fn one_less(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

async fn text(gateway: &State, call: &Call<'_>, _: &Envelope<Sent>) -> Result<u32, HandlerError> {
    call.once(|| async {
        if one_less(&gateway.away) {
            return Err(HandlerError::transient("the gateway is away"));
        }
        Ok(gateway.sent.fetch_add(1, Ordering::SeqCst) + 1)
    })
    .await
}

async fn note(gateway: &State, tx: &mut Tx, _: &Envelope<Sent>, number: u32) -> Handled {
    if one_less(&gateway.bugs) {
        return Err(HandlerError::transient("the record has a bug"));
    }
    let sql = "insert into texts (number) values ($1)";
    sqlx::query(sql).bind(i64::from(number)).execute(tx.conn()).await?;
    Ok(())
}

async fn stage(gateway: &State) -> Stage<State> {
    let stage = given(Service::new("texts", Arc::clone(gateway)).react("text", on_effect(text, note))).await;
    let tables = "create table texts (number integer not null); create table failures (what text); \
                  create trigger remember after insert on pavane_attempt begin insert into failures values ('one'); end";
    sqlx::raw_sql(tables).execute(stage.db().writers()).await.unwrap();
    stage
}

async fn numbers(stage: &Stage<State>) -> Vec<i64> {
    sqlx::query_scalar("select number from texts").fetch_all(stage.db().readers()).await.unwrap()
}

#[tokio::test]
async fn a_record_that_fails_does_not_send_again() {
    let gateway = State::new(Gateway { bugs: AtomicU32::new(2), ..Gateway::default() });
    let mut stage = stage(&gateway).await;
    stage.receive(&Sent {}).await;
    assert_eq!(gateway.sent.load(Ordering::SeqCst), 1);
    assert_eq!(numbers(&stage).await, [1], "with the answer of the one call");
    stage.receive(&Sent {}).await;
    assert_eq!(numbers(&stage).await, [1, 2], "another event is another message");
}

#[tokio::test]
async fn a_call_that_fails_is_made_again() {
    let gateway = State::new(Gateway { away: AtomicU32::new(2), ..Gateway::default() });
    let mut stage = stage(&gateway).await;
    stage.receive(&Sent {}).await;
    assert_eq!(numbers(&stage).await, [1]);
}

async fn text_twice(gateway: &State, call: &Call<'_>, _: &Envelope<Sent>) -> Result<u32, HandlerError> {
    let send = || async { Ok(gateway.sent.fetch_add(1, Ordering::SeqCst) + 1) };
    Ok(call.once(send).await? + call.once(send).await?)
}

#[tokio::test]
async fn a_second_use_in_one_effect_is_not_given_the_answer_of_the_first() {
    let gateway = State::default();
    let service = Service::new("texts", Arc::clone(&gateway)).react("text", on_effect(text_twice, note));
    let stage = given(service).receive(&Sent {}).await;
    let letters = stage.dead_letters();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].cause.contains("uses call.once(…) twice"), "{}", letters[0].cause);
    assert_eq!(gateway.sent.load(Ordering::SeqCst), 1, "not even by all its attempts");
}

/// What a process leaves that died between the call and the keeping of its answer: nobody knows whether it was made, so it is
/// made again, once the dead one can't be at it any more.
#[tokio::test]
async fn after_a_crash_the_call_is_made_again_when_the_lease_is_over() {
    let gateway = State::default();
    let mut stage = stage(&gateway).await;
    let event = stage.envelope(&Sent {});
    let dead = SqlStore::new(stage.db().clone(), HOUR).claim(&format!("texts_text-{}", event.meta.id), HOUR).await;
    assert!(matches!(dead, Ok(Claim::Held(_))), "{dead:?}");
    let before = stage.clock().elapsed();
    stage.deliver(&event).await;
    assert_eq!(numbers(&stage).await, [1]);
    assert!(stage.clock().elapsed() >= before + HOUR, "not before the lease is over");
    let failures: i64 =
        sqlx::query_scalar("select count(*) from failures").fetch_one(stage.db().readers()).await.unwrap();
    assert_eq!(failures, 0, "to wait for somebody else is no failure of the event");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_does_it() {
    let (store, sent) = (Arc::new(MemoryStore::new(Arc::new(Ahead::default()), 10)), Arc::new(AtomicU32::new(0)));
    let tries: Vec<_> = (0..16)
        .map(|_| {
            let (store, sent) = (Arc::clone(&store), Arc::clone(&sent));
            tokio::spawn(async move {
                dedupe::once(&*store, "text-1", HOUR, || async {
                    tokio::task::yield_now().await;
                    Ok(sent.fetch_add(1, Ordering::SeqCst))
                })
                .await
            })
        })
        .collect();
    for tried in tries {
        // The instance that didn't send it learns that another one holds the claim, or the answer.
        match tried.await.unwrap() {
            Ok(answer) => assert_eq!(answer, 0),
            Err(error) => assert!(error.to_string().contains("is claimed for another"), "{error}"),
        }
    }
    assert_eq!(sent.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn work_that_outlives_its_lease_is_dropped_before_somebody_else_begins() {
    let clock = Ahead::default();
    let store = MemoryStore::new(Arc::new(clock.clone()), 10);
    let stuck = dedupe::once::<(), _>(&store, "text-1", Duration::from_millis(20), pending).await;
    assert!(stuck.unwrap_err().to_string().contains("took longer than 20ms"));
    clock.pass(Duration::from_secs(1));
    assert!(matches!(dedupe::once(&store, "text-1", HOUR, || async { Ok(7) }).await, Ok(7)));
}

#[tokio::test]
async fn an_answer_of_another_type_does_not_do_it_again() {
    let store = MemoryStore::new(Arc::new(Ahead::default()), 10);
    dedupe::once(&store, "text-1", HOUR, || async { Ok("seven".to_owned()) }).await.unwrap();
    let other = dedupe::once::<u32, _>(&store, "text-1", HOUR, || async { panic!("it is done") }).await;
    assert!(other.unwrap_err().to_string().contains("the answer to what was done under the key \"text-1\""));
}
