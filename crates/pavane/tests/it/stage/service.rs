//! The service on the stage: its events, its reactions, and a script that says how they fail.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use pavane::{
    Envelope, Event, Handled, HandlerError,
    any::{Call, Service, Tx},
    on, on_effect, undo, undo_effect,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

pub(crate) const CANCEL: pavane::EntryPoint = pavane::EntryPoint::new("cancel");
pub(crate) const START: pavane::EntryPoint = pavane::EntryPoint::new("start");

macro_rules! event {
    ($name:ident, $wire:literal) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $wire, key = key)]
        pub(crate) struct $name {
            pub(crate) key: String,
        }
    };
}

event!(Started, "stage.started");
event!(Cancelled, "stage.cancelled");
event!(Stepped, "stage.stepped");
event!(Refused, "stage.refused");
event!(Undone, "stage.undone");
event!(Charged, "stage.charged");
event!(Declined, "stage.declined");
event!(Refunded, "stage.refunded");
event!(Failed, "stage.failed");
event!(Won, "stage.won");

/// What handlers do with a key, and what they did.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// How often `step` still fails for a key.
    pub(crate) failures: Mutex<HashMap<String, u32>>,
    /// Calls of the effects, by idempotency key.
    pub(crate) calls: Mutex<Vec<String>>,
    /// The effect answers once this is free.
    pub(crate) provider: tokio::sync::Mutex<()>,
    /// How often the provider isn't there.
    pub(crate) outages: Mutex<u32>,
}

pub(crate) type State = Arc<Script>;

async fn step(script: &State, tx: &mut Tx, started: &Envelope<Started>) -> Handled {
    let key = started.key.clone();
    sqlx::query("insert into steps (key, kind) values ($1, 'step')").bind(&key).execute(tx.conn()).await?;
    {
        let mut failures = script.failures.lock().unwrap();
        let left = failures.entry(key.clone()).or_default();
        if *left > 0 {
            *left -= 1;
            return Err(HandlerError::transient("told to fail"));
        }
    }
    match key.split('-').next() {
        Some("refuse") => tx.emit(&Refused { key }).await?,
        Some("panic") => panic!("told to panic"),
        Some("reject") => return Err(HandlerError::reject("told to reject")),
        Some("silent") => {}
        _ => tx.emit(&Stepped { key }).await?,
    }
    Ok(())
}

async fn undo_step(_: &State, tx: &mut Tx, stepped: &Envelope<Stepped>) -> Handled {
    let key = stepped.key.clone();
    sqlx::query("insert into steps (key, kind) values ($1, 'undo-step')").bind(&key).execute(tx.conn()).await?;
    tx.emit(&Undone { key }).await?;
    Ok(())
}

async fn charge(script: &State, call: &Call<'_>, started: &Envelope<Started>) -> Result<bool, HandlerError> {
    script.calls.lock().unwrap().push(call.key().to_string());
    {
        let mut outages = script.outages.lock().unwrap();
        if *outages > 0 {
            *outages -= 1;
            return Err(HandlerError::unavailable("the provider is away"));
        }
    }
    drop(script.provider.lock().await);
    if started.key.starts_with("impossible") {
        return Err(HandlerError::reject("the provider says never"));
    }
    Ok(!started.key.starts_with("decline"))
}

async fn record_charge(_: &State, tx: &mut Tx, started: &Envelope<Started>, charged: bool) -> Handled {
    let key = started.key.clone();
    let kind = if charged { "charge" } else { "decline" };
    sqlx::query("insert into steps (key, kind) values ($1, $2)").bind(&key).bind(kind).execute(tx.conn()).await?;
    if charged {
        tx.emit(&Charged { key }).await?;
    } else {
        tx.emit(&Declined { key }).await?;
    }
    Ok(())
}

async fn refund(script: &State, call: &Call<'_>, _: &Envelope<Charged>) -> Result<(), HandlerError> {
    script.calls.lock().unwrap().push(call.key().to_string());
    Ok(())
}

async fn record_refund(_: &State, tx: &mut Tx, charged: &Envelope<Charged>, (): ()) -> Handled {
    let key = charged.key.clone();
    sqlx::query("insert into steps (key, kind) values ($1, 'refund')").bind(&key).execute(tx.conn()).await?;
    tx.emit(&Refunded { key }).await?;
    Ok(())
}

async fn judge(_: &State, tx: &mut Tx, stepped: &Envelope<Stepped>) -> Handled {
    let _outcome = tx.decide(&Won { key: stepped.key.clone() }).await?;
    Ok(())
}

/// The wiring table.
pub(crate) fn service(script: State) -> Service<State> {
    let quick = |tuning: &mut pavane::Tuning| {
        tuning.max_attempts = 3;
        tuning.backoff_base = Duration::from_millis(4);
        tuning.backoff_max = Duration::from_millis(40);
    };
    Service::new("stage", script)
        .migrations(tables())
        .entry(&START, |entry| entry.may_emit::<Started>().schedules::<Started>())
        .entry(&CANCEL, pavane::Declared::may_emit::<Cancelled>)
        .react(
            "step",
            on(step)
                .emits_one_of::<(Stepped, Refused)>()
                .gives_up_with(|started: &Envelope<Started>| Failed { key: started.key.clone() })
                .tuned(quick),
        )
        .react("undo-step", undo(undo_step).when::<Cancelled>().emits::<Undone>().tuned(quick))
        .react("charge", on_effect(charge, record_charge).emits_one_of::<(Charged, Declined)>().tuned(quick))
        .react("refund", undo_effect(refund, record_refund).when::<Cancelled>().emits::<Refunded>().tuned(quick))
        .react("judge", on(judge).decides::<Won>())
}

fn tables() -> Migrator {
    let sql = "create table steps (key text not null, kind text not null)".into_sql_str();
    Migrator::with_migrations(vec![Migration::new(1, "steps".into(), MigrationType::Simple, sql, false)])
}
