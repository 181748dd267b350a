//! Timers that end with their saga, as services declare and cancel them: what docs/timers.md says.

use std::time::Duration;

use pavane::{
    Correlation, EntryPoint, Envelope, Event, Handled,
    any::{Service, Tx},
    on,
};
use pavane_testkit::{Stage, given};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

const PLACE: EntryPoint = EntryPoint::new("place");
const DAY: Duration = Duration::from_hours(24);

macro_rules! event {
    ($name:ident, $wire:literal) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $wire, key = order)]
        struct $name {
            order: String,
        }
    };
}

event!(Placed, "order.placed");
event!(Overdue, "order.overdue");
event!(ReviewDue, "order.review-due");
event!(Confirmed, "order.confirmed");
event!(Cancelled, "order.cancelled");
event!(Captured, "payment.captured");
event!(HoldExpired, "hotel.hold-expired");

fn order() -> Service<()> {
    Service::new("order", ())
        .entry(&PLACE, |entry| entry.emits::<Placed>().schedules::<(Overdue, ReviewDue)>())
        .react("confirm", on(confirm).decides::<Confirmed>())
        .react("give-up", on(give_up).decides::<Cancelled>())
        .outlives_outcome::<ReviewDue>()
}

async fn confirm((): &(), tx: &mut Tx, captured: &Envelope<Captured>) -> Handled {
    let _outcome = tx.decide(&Confirmed { order: captured.order.clone() }).await?;
    Ok(())
}

/// It loses where the order was confirmed while the timer was on its way.
async fn give_up((): &(), tx: &mut Tx, overdue: &Envelope<Overdue>) -> Handled {
    let _outcome = tx.decide(&Cancelled { order: overdue.order.clone() }).await?;
    Ok(())
}

/// A service that decides nothing: it cancels its own timers when it hears of the outcome.
fn hotel() -> Service<()> {
    Service::new("hotel", ()).react("hold", on(hold).schedules::<HoldExpired>()).react("stop-waiting", on(stop_waiting))
}

async fn hold((): &(), tx: &mut Tx, placed: &Envelope<Placed>) -> Handled {
    tx.emit_after(DAY, &HoldExpired { order: placed.order.clone() }).await?;
    Ok(())
}

async fn stop_waiting((): &(), tx: &mut Tx, _: &Envelope<Confirmed>) -> Handled {
    tx.cancel::<HoldExpired>().await?;
    Ok(())
}

fn id() -> String {
    "7".to_owned()
}

async fn place(stage: &Stage<()>) {
    let mut tx = stage.entry(&PLACE).begin(Correlation::of(stage.saga())).await.unwrap();
    tx.emit_after(DAY, &Overdue { order: id() }).await.unwrap();
    tx.emit_after(2 * DAY, &ReviewDue { order: id() }).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_service_that_decides_keeps_only_the_timers_that_outlive_the_outcome() {
    for service in [given(order()), given(order()).on_postgres()] {
        let mut stage = service.await;
        place(&stage).await;
        assert_eq!(stage.receive(&Captured { order: id() }).await.emitted_names(), ["order.confirmed"]);
        assert_eq!(stage.advance(3 * DAY).await.emitted_names(), ["order.review-due"]);
    }
}

#[tokio::test]
async fn a_timer_that_goes_off_before_the_outcome_decides() {
    let mut stage = given(order()).await;
    place(&stage).await;
    assert_eq!(stage.advance(DAY).await.emitted_names(), ["order.overdue", "order.cancelled"]);
    assert!(stage.receive(&Captured { order: id() }).await.emitted_names().is_empty());
    assert_eq!(stage.advance(DAY).await.emitted_names(), ["order.review-due"]);
}

#[tokio::test]
async fn a_service_that_does_not_decide_cancels_its_timers_by_hand() {
    for (told, expected) in [(false, vec!["hotel.hold-expired"]), (true, vec![])] {
        let mut stage = given(hotel()).receive(&Placed { order: id() }).await;
        if told {
            stage.receive(&Confirmed { order: id() }).await;
        }
        assert_eq!(stage.advance(DAY).await.emitted_names(), expected);
        assert!(stage.dead_letters().is_empty());
    }
}

#[tokio::test]
async fn who_cancels_what_the_service_never_schedules_gives_up() {
    async fn cancel_anything((): &(), tx: &mut Tx, _: &Envelope<Confirmed>) -> Handled {
        tx.cancel::<Overdue>().await?;
        Ok(())
    }
    let service = Service::new("hotel", ()).react("stop-waiting", on(cancel_anything));
    let stage = given(service).receive(&Confirmed { order: id() }).await;
    let cause = &stage.dead_letters()[0].cause;
    assert!(
        cause.contains("hotel/stop-waiting cancels order.overdue v1, which its service never schedules"),
        "{cause}"
    );
}

#[test]
fn the_manifest_says_what_outlives_the_outcome() {
    let manifest = serde_json::to_value(order().manifest()).unwrap();
    assert_eq!(manifest["outlive_outcome"], json!([{ "name": "order.review-due", "version": 1 }]));
    let hotel = serde_json::to_value(hotel().manifest()).unwrap();
    assert_eq!(hotel.get("outlive_outcome"), None, "a service of an older version says nothing either");
}
