//! What a step emits for its undo is emitted once: the ledger keeps one event for it.

use pavane::{
    Envelope, Event, Handled, HandlerError, Key,
    any::{Call, Service, Tx},
    on, on_effect, undo,
};
use pavane_inbox::Reaction;
use pavane_testkit::given;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::Any;

macro_rules! event {
    ($name:ident, $wire:literal) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        struct $name {
            seats: u32,
        }

        impl Event for $name {
            const NAME: &'static str = $wire;
            const VERSION: u16 = 1;

            fn key(&self) -> Key {
                "trip".into()
            }
        }
    };
}

event!(SeatsWanted, "trip.seats-wanted");
event!(TripCancelled, "trip.cancelled");
event!(SeatReserved, "seat.reserved");
event!(SeatRefused, "seat.refused");
event!(SeatReleased, "seat.released");

async fn reserve((): &(), tx: &mut Tx, wanted: &Envelope<SeatsWanted>) -> Handled {
    record((), tx, wanted.seats).await
}

async fn record((): (), tx: &mut Tx, seats: u32) -> Handled {
    for seat in 1..=seats {
        tx.emit(&SeatReserved { seats: seat }).await?;
    }
    Ok(())
}

async fn call((): &(), _: &Call<'_>, _: &Envelope<SeatsWanted>) -> Result<(), HandlerError> {
    Ok(())
}

async fn record_call((): &(), tx: &mut Tx, wanted: &Envelope<SeatsWanted>, (): ()) -> Handled {
    record((), tx, wanted.seats).await
}

async fn release((): &(), tx: &mut Tx, reserved: &Envelope<SeatReserved>) -> Handled {
    tx.emit(&SeatReleased { seats: reserved.seats }).await?;
    Ok(())
}

fn service(reserve: Reaction<(), Any>) -> Service<()> {
    Service::new("seat", ())
        .react("reserve", reserve)
        .react("release", undo(release).when::<TripCancelled>().emits::<SeatReleased>())
}

/// The ways to declare it.
fn declared() -> [(&'static str, Reaction<(), Any>); 4] {
    [
        ("emits", on(reserve).emits::<SeatReserved>().complete()),
        ("may_emit", on(reserve).may_emit::<SeatReserved>().complete()),
        ("emits_one_of", on(reserve).emits_one_of::<(SeatReserved, SeatRefused)>().complete()),
        ("an effect", on_effect(call, record_call).emits::<SeatReserved>().complete()),
    ]
}

#[tokio::test]
async fn a_step_that_emits_for_its_undo_more_than_once_fails() {
    for (how, reserve) in declared() {
        let mut stage = given(service(reserve)).receive(&SeatsWanted { seats: 3 }).await;
        assert!(stage.emitted_names().is_empty(), "{how}: all of it or nothing");
        let dead = stage.dead_letters();
        assert_eq!(dead.len(), 1, "{how}: {dead:?}");
        assert!(dead[0].cause.contains("seat.reserved v1, which its undo is for, 3 times"), "{}", dead[0].cause);
        assert!(dead[0].cause.contains("emit one event, or make each a step of its own"), "{}", dead[0].cause);
        if how != "an effect" {
            stage.receive(&TripCancelled { seats: 0 }).await;
            assert!(stage.emitted::<SeatReleased>().is_empty(), "{how}: nothing was reserved");
        }
    }
}

#[tokio::test]
async fn a_step_that_emits_for_its_undo_once_is_undone() {
    for (how, reserve) in declared() {
        let mut stage = given(service(reserve)).receive(&SeatsWanted { seats: 1 }).await;
        assert_eq!(stage.emitted_names(), ["seat.reserved"], "{how}");
        stage.receive(&TripCancelled { seats: 0 }).await;
        assert_eq!(stage.emitted::<SeatReleased>(), [SeatReleased { seats: 1 }], "{how}");
    }
}
