//! What an effect is given for its call.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use pavane::{
    Envelope, Event, Handled, HandlerError, Key,
    any::{Call, Service, Tx},
    on_effect,
};
use pavane_testkit::given;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Ordered {}

impl Event for Ordered {
    const NAME: &'static str = "shop.ordered";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        "1".into()
    }
}

/// What the calls were like.
#[derive(Debug, Default)]
struct Seen {
    keys: Mutex<Vec<String>>,
    notes: Mutex<Vec<i64>>,
}

type State = Arc<Seen>;

/// The provider doesn't answer the first call; its client waits as long as the call may take.
async fn ask(seen: &State, call: &Call<'_>, _: &Envelope<Ordered>) -> Result<(), HandlerError> {
    let calls = {
        let mut keys = seen.keys.lock().unwrap();
        keys.push(call.key().to_string());
        keys.len()
    };
    if calls == 1 {
        tokio::time::sleep(call.time_left()).await;
        return Err(HandlerError::unavailable("no answer"));
    }
    Ok(())
}

/// Reads with the connection of the call.
async fn read(seen: &State, call: &Call<'_>, _: &Envelope<Ordered>) -> Result<(), HandlerError> {
    let mut db = call.db().await?;
    let notes = sqlx::query_scalar("select count(*) from notes").fetch_one(&mut *db).await?;
    seen.notes.lock().unwrap().push(notes);
    Ok(())
}

async fn note(_: &State, tx: &mut Tx, _: &Envelope<Ordered>, (): ()) -> Handled {
    sqlx::query("insert into notes values ('ordered')").execute(tx.conn()).await?;
    Ok(())
}

#[tokio::test]
async fn a_client_that_waits_as_long_as_is_left_gives_up_before_the_reaction_does() {
    let seen = State::default();
    let ask = on_effect(ask, note).tuned(|tuning| tuning.timeout = Duration::from_millis(400));
    let mut stage = given(Service::new("clerk", Arc::clone(&seen)).react("ask", ask)).await;
    sqlx::raw_sql("create table notes (what text)").execute(stage.db().writers()).await.unwrap();
    // Attempts are forgotten with the event's success; this remembers that there was one.
    let remember = "create table failures (what text); create trigger remember after insert on pavane_attempt \
                    begin insert into failures values ('one'); end";
    sqlx::raw_sql(remember).execute(stage.db().writers()).await.unwrap();
    stage.receive(&Ordered {}).await;
    let keys = seen.keys.lock().unwrap().clone();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert_eq!(keys[0], keys[1], "a retry is the same call");
    let failures: i64 =
        sqlx::query_scalar("select count(*) from failures").fetch_one(stage.db().readers()).await.unwrap();
    assert_eq!(failures, 0, "a provider that does not answer is waited for, and no failure of the event");
}

#[tokio::test]
async fn an_effect_reads_what_its_service_committed_before() {
    let seen = State::default();
    let mut stage = given(Service::new("clerk", Arc::clone(&seen)).react("read", on_effect(read, note))).await;
    sqlx::raw_sql("create table notes (what text)").execute(stage.db().writers()).await.unwrap();
    stage.receive(&Ordered {}).await;
    stage.receive(&Ordered {}).await;
    assert_eq!(*seen.notes.lock().unwrap(), [0, 1]);
}
