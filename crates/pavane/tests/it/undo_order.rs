//! Undos that come one after the other.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use pavane::{
    Envelope, Event, Handled, HandlerError,
    any::{Call, Service, Tx},
    on, undo, undo_effect,
};
use pavane_testkit::{Stage, fault_matrix, given};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! events {
    ($($event:ident = $name:literal)+) => { $(
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $name, key = key)]
        struct $event {
            key: String,
        }
    )+ };
}

events! {
    Ordered = "shop.ordered"
    Packed = "shop.packed"
    Cancelled = "shop.cancelled"
    Reserved = "depot.reserved"
    Announced = "depot.announced"
    Withdrawn = "depot.withdrawn"
    Released = "depot.released"
    Insured = "depot.insured"
    Ended = "depot.insurance-ended"
}

/// How often the carrier does not answer.
type Carrier = Arc<AtomicU32>;

async fn reserve(_: &Carrier, tx: &mut Tx, ordered: &Envelope<Ordered>) -> Handled {
    tx.emit(&Reserved { key: ordered.key.clone() }).await?;
    Ok(())
}

async fn announce(_: &Carrier, tx: &mut Tx, packed: &Envelope<Packed>) -> Handled {
    tx.emit(&Announced { key: packed.key.clone() }).await?;
    Ok(())
}

async fn withdraw(carrier: &Carrier, _: &Call<'_>, _: &Envelope<Announced>) -> Result<(), HandlerError> {
    match carrier.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
        Ok(_) => Err(HandlerError::unavailable("the carrier does not answer")),
        Err(_) => Ok(()),
    }
}

async fn withdrawn(_: &Carrier, tx: &mut Tx, announced: &Envelope<Announced>, (): ()) -> Handled {
    tx.emit(&Withdrawn { key: announced.key.clone() }).await?;
    Ok(())
}

async fn release(_: &Carrier, tx: &mut Tx, reserved: &Envelope<Reserved>) -> Handled {
    tx.emit(&Released { key: reserved.key.clone() }).await?;
    Ok(())
}

async fn insure(_: &Carrier, tx: &mut Tx, ordered: &Envelope<Ordered>) -> Handled {
    tx.emit(&Insured { key: ordered.key.clone() }).await?;
    Ok(())
}

async fn end(_: &Carrier, _: &Call<'_>, _: &Envelope<Insured>) -> Result<(), HandlerError> {
    Ok(())
}

async fn ended(_: &Carrier, tx: &mut Tx, insured: &Envelope<Insured>, (): ()) -> Handled {
    tx.emit(&Ended { key: insured.key.clone() }).await?;
    Ok(())
}

/// What is announced is withdrawn first; then what is reserved is released, and at last the insurance ends.
fn depot(carrier: &Carrier) -> Service<Carrier> {
    let release = undo(release).when::<Cancelled>().after_undo_of::<Announced>();
    let end = undo_effect(end, ended).when::<Cancelled>().after_undo_of::<Reserved>();
    Service::new("depot", Arc::clone(carrier))
        .react("end", end.emits::<Ended>())
        .react("release", release.emits::<Released>())
        .react("insure", on(insure).emits::<Insured>())
        .react("reserve", on(reserve).emits::<Reserved>())
        .react("announce", on(announce).emits::<Announced>())
        .react("withdraw", undo_effect(withdraw, withdrawn).when::<Cancelled>().emits::<Withdrawn>())
}

async fn stage(carrier: &Carrier) -> Stage<Carrier> {
    given(depot(carrier)).await
}

fn key() -> String {
    "7".to_owned()
}

#[tokio::test]
async fn an_undo_waits_for_those_that_come_before_it() {
    let carrier = Carrier::new(AtomicU32::new(3));
    let mut stage = stage(&carrier).await;
    stage.receive(&Ordered { key: key() }).await.receive(&Packed { key: key() }).await;
    stage.receive(&Cancelled { key: key() }).await;
    assert_eq!(stage.emitted_names(), ["depot.withdrawn", "depot.released", "depot.insurance-ended"]);
    assert_eq!(stage.count("select count(*) from pavane_waiting").await, 0);
    assert!(stage.dead_letters().is_empty());
}

/// It waits for one of them first, and then for the other.
#[tokio::test]
async fn an_undo_may_come_after_several() {
    let carrier = Carrier::new(AtomicU32::new(3));
    let end = undo_effect(end, ended).when::<Cancelled>().after_undo_of::<(Reserved, Announced)>();
    let release = undo(release).when::<Cancelled>();
    let service = Service::new("depot", Arc::clone(&carrier))
        .react("end", end.emits::<Ended>())
        .react("release", release.emits::<Released>())
        .react("insure", on(insure).emits::<Insured>())
        .react("reserve", on(reserve).emits::<Reserved>())
        .react("announce", on(announce).emits::<Announced>())
        .react("withdraw", undo_effect(withdraw, withdrawn).when::<Cancelled>().emits::<Withdrawn>());
    let mut stage = given(service).await;
    stage.receive(&Ordered { key: key() }).await.receive(&Packed { key: key() }).await;
    stage.receive(&Cancelled { key: key() }).await;
    assert_eq!(stage.emitted_names(), ["depot.released", "depot.withdrawn", "depot.insurance-ended"]);
    assert_eq!(stage.count("select count(*) from pavane_waiting").await, 0);
}

#[tokio::test]
async fn what_was_never_done_keeps_no_undo_waiting() {
    let mut stage = stage(&Carrier::default()).await;
    // Reserved, and never announced. The release comes too early, and goes on when the announcement is barred.
    stage.receive(&Ordered { key: key() }).await.receive(&Cancelled { key: key() }).await;
    assert_eq!(stage.emitted_names(), ["depot.released", "depot.insurance-ended"]);
    assert_eq!(stage.count("select count(*) from pavane_ledger where state = 'barred'").await, 1);
    assert_eq!(stage.count("select count(*) from pavane_waiting").await, 0);
}

#[tokio::test]
async fn nothing_that_fails_does_harm() {
    let examples = |on_postgres: bool| {
        let matrix = fault_matrix(|| depot(&Carrier::default()));
        let matrix = if on_postgres { matrix.on_postgres() } else { matrix };
        let matrix = matrix.event(&Ordered { key: key() }).event(&Packed { key: key() });
        matrix.event(&Cancelled { key: key() })
    };
    for on_postgres in [false, true] {
        examples(on_postgres).assert().await;
    }
}

#[tokio::test]
#[should_panic(expected = "comes after the undo of shop.ordered v1, but no other step of this service")]
async fn an_undo_after_nothing_is_refused() {
    let release = undo(release).when::<Cancelled>().after_undo_of::<Ordered>().emits::<Released>();
    let service = Service::new("depot", Carrier::default());
    given(service.react("reserve", on(reserve).emits::<Reserved>()).react("release", release)).await;
}

#[tokio::test]
#[should_panic(expected = "comes after itself")]
async fn undos_that_wait_for_each_other_are_refused() {
    let release = undo(release).when::<Cancelled>().after_undo_of::<Insured>().emits::<Released>();
    let end = undo_effect(end, ended).when::<Cancelled>().after_undo_of::<Reserved>().emits::<Ended>();
    let service = Service::new("depot", Carrier::default()).react("reserve", on(reserve).emits::<Reserved>());
    given(service.react("insure", on(insure).emits::<Insured>()).react("release", release).react("end", end)).await;
}
