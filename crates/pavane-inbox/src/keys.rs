//! How long a provider remembers idempotency keys: only while it does is a repeated call the same call.

pub(crate) mod store;

use std::time::Duration;

use pavane_bus::Bus;
use pavane_contract::{RawEnvelope, Timestamp};
use pavane_outbox::{Database, Error};

use crate::{
    Call, IdempotencyKey,
    engine::{Engine, Failure},
    handler::HandlerError,
    wiring::Part,
    work::Answer,
};

/// The result of the look-up, where the provider may have forgotten the key; `None` when the call may be made.
///
/// # Errors
///
/// Where only a person can find out whether the call was carried out, or when the look-up fails.
pub(crate) async fn look_up<S: Send + Sync + 'static, DB: Database, B: Bus>(
    engine: &Engine<S, DB, B>,
    event: &RawEnvelope,
    given: &[RawEnvelope],
    key: &IdempotencyKey,
) -> Result<Option<Answer>, Failure> {
    let (db, reaction) = (&engine.db, &engine.wired.reaction);
    let Some(life) = reaction.key_life else { return Ok(None) };
    // The key is made from the last one.
    let age = age(engine, event, given.last().unwrap_or(event)).await?;
    // A call may take this long to reach the provider.
    let late = micros(reaction.tuning.timeout);
    if age.saturating_add(late) < micros(life) {
        return Ok(None);
    }
    match &reaction.look_up {
        Some(look_up) => {
            let call = Call::new(key, db, reaction.tuning.timeout);
            Ok(engine.timed(look_up.look_up(&engine.state, &call, given)).await?)
        }
        None => Err(HandlerError::reject(asks_a_person(key, db.now().saturating_sub(age), life)).into()),
    }
}

/// How long ago it was first called. A step's ledger row has that time; other effects write a row before they call.
async fn age<S: Send + Sync + 'static, DB: Database, B: Bus>(
    engine: &Engine<S, DB, B>,
    event: &RawEnvelope,
    given: &RawEnvelope,
) -> Result<i64, Error> {
    let (db, name) = (&engine.db, &engine.wired.name);
    if let Part::Step { .. } = engine.wired.part {
        let Some(row) = engine.row_of(event) else { return Ok(0) };
        let age = db.within(store::age_of_step(db, name, row)).await?;
        // Settled by another delivery meanwhile. The record finds that out, and no look-up is needed.
        return Ok(age.unwrap_or(0));
    }
    db.within(store::enter_call(db, name, given.meta.id)).await
}

fn asks_a_person(key: &IdempotencyKey, first: i64, life: Duration) -> String {
    let first = Timestamp::from_microsecond(first).map_or_else(|_| first.to_string(), |at| at.to_string());
    format!(
        "whether the provider did this is not known, and the call can't be repeated: it was first made at {first} under the key \
         {key}, which the provider forgets after {life:?} (.key_lives). Look there whether it happened; a reaction that can look \
         by itself says .look_up(…)"
    )
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
