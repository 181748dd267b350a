//! Services on a stage: what is particular about a trip.

use anyhow::Result;
use pavane_testkit::given;
use travel::{
    contracts::{
        CancelReason, HoldExpired, RoomHeld, RoomReleased, SeatHeld, SeatReleased, SeatWanted, TripCancelled, TripId,
    },
    flight::{self, Flight},
    hotel::{self, Hotel},
};

use crate::faults::{Example, provider};

fn cancelled(trip: TripId) -> TripCancelled {
    TripCancelled { trip, reason: CancelReason::TravellerRequest }
}

/// A seat for each, and each released once. Where the abort comes first, the seats that are wanted then are not even asked for.
#[tokio::test]
async fn every_seat_is_released_or_never_held() -> Result<()> {
    for is_late in [false, true] {
        let (client, example) = (provider().await?, Example::new());
        let flight = given(flight::service(Flight::new(client)));
        let mut stage = if is_late {
            let mut stage = flight.receive(&cancelled(example.trip)).await;
            stage.receive(&example.requested()).await;
            stage
        } else {
            flight.receive(&example.requested()).await
        };
        assert_eq!(stage.emitted::<SeatWanted>().len(), 2);
        assert_eq!(stage.emitted::<SeatHeld>().len(), if is_late { 0 } else { 2 });
        stage.receive(&cancelled(example.trip)).await;
        assert_eq!(stage.emitted::<SeatReleased>().len(), if is_late { 0 } else { 2 });
        assert_eq!(stage.count("select count(*) from seat where status <> 'released'").await, 0);
        assert!(stage.dead_letters().is_empty(), "{:?}", stage.dead_letters());
    }
    Ok(())
}

/// The timer of the hold ends with the release, and goes off without.
#[tokio::test]
async fn a_hold_that_ends_does_not_expire() -> Result<()> {
    for is_cancelled in [true, false] {
        let (client, example) = (provider().await?, Example::new());
        let mut stage = given(hotel::service(Hotel::new(client))).receive(&example.requested()).await;
        assert_eq!(stage.emitted::<RoomHeld>().len(), 1);
        if is_cancelled {
            assert_eq!(stage.receive(&cancelled(example.trip)).await.emitted::<RoomReleased>().len(), 1);
        }
        let expired = stage.advance(Example::hold()).await.emitted::<HoldExpired>().len();
        assert_eq!(expired, usize::from(!is_cancelled));
    }
    Ok(())
}
