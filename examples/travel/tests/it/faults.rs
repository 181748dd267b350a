//! The reactions of every service under every fault, on PostgreSQL. The snapshots say which.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use pavane::{SagaId, contract::SystemClock, postgres::Db};
use pavane_testkit::{FaultMatrix, fault_matrix};
use sqlx::{Postgres, types::Json};
use tokio::net::TcpListener;
use travel::{
    car::{self, Car},
    contracts::{
        AllHeld, ApprovalExpired, CancelReason, CarBooked, CarHeld, CarReleased, CarUnavailable, HoldExpired, HoldId,
        PriceApproved, PriceRefused, PriceSettled, RoomBooked, RoomHeld, RoomRefused, RoomReleased, SeatHeld,
        SeatRefused, SeatReleased, SeatWanted, TicketsIssued, TicketsRefunded, TicketsRefused, TripCancelled,
        TripConfirmed, TripId, TripOverdue, TripRequested, Wishes,
    },
    flight::{self, Flight},
    hotel::{self, Hotel},
    itinerary,
    provider::{self, Client, Faults, Provider, Settings},
    ticketing::{self, Ticketing},
    trip,
};
use uuid::Uuid;

/// A client of a provider that serves until the test ends.
pub(crate) async fn provider() -> Result<Client> {
    let faults = Faults { late: Duration::ZERO, key_life: Duration::from_hours(24) };
    let provider = Provider::new(Arc::new(SystemClock), faults);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let settings = Settings::at(&format!("http://{}", listener.local_addr()?))?;
    tokio::spawn(async move { axum::serve(listener, provider::router(&provider)).await });
    Client::new(settings)
}

pub(crate) struct Example {
    saga: SagaId,
    pub(crate) trip: TripId,
    wishes: Wishes,
}

/// How long the hotel keeps a room.
const HOLD_SECONDS: u32 = 3_600;

impl Example {
    pub(crate) fn new() -> Self {
        let saga = SagaId::new(&SystemClock);
        let wishes = Wishes {
            passengers: vec!["Ada".to_owned(), "Thoinot".to_owned()],
            flight: "PV7".to_owned(),
            hotel: "Arbeau".to_owned(),
            room_quote_cents: 32_000,
            car: Some("small".to_owned()),
            card: "visa".to_owned(),
        };
        Self { saga, trip: TripId::of(saga), wishes }
    }

    pub(crate) fn requested(&self) -> TripRequested {
        TripRequested { trip: self.trip, wishes: self.wishes.clone(), hold_seconds: HOLD_SECONDS }
    }

    /// How long the hotel keeps the room.
    pub(crate) fn hold() -> Duration {
        Duration::from_secs(HOLD_SECONDS.into())
    }

    /// The same trip with a provider that has none.
    fn requested_in_vain(&self) -> TripRequested {
        let full = "full".to_owned();
        let wishes = Wishes { flight: full.clone(), hotel: full.clone(), car: Some(full), ..self.wishes.clone() };
        TripRequested { wishes, ..self.requested() }
    }

    fn confirmed(&self) -> TripConfirmed {
        TripConfirmed { trip: self.trip, wishes: self.wishes.clone(), has_car: true, total_cents: 80_300 }
    }

    fn cancelled(&self) -> TripCancelled {
        TripCancelled { trip: self.trip, reason: CancelReason::TravellerRequest }
    }

    fn all_held(&self, card: &str) -> AllHeld {
        AllHeld { trip: self.trip, seats: vec![], total_cents: 80_300, card: card.to_owned() }
    }
}

/// What the provider calls something that it holds.
fn hold(number: u128) -> HoldId {
    Uuid::from_u128(number).into()
}

/// The trip that the services that hold something answer to.
fn of_trip() -> FaultMatrix<(), Postgres> {
    let Example { saga, trip, wishes } = Example::new();
    let quote_cents = wishes.room_quote_cents;
    let room = |cents| RoomHeld { trip, room: hold(3), cents };
    fault_matrix(trip::service)
        .saga(saga)
        .given(move |db| requested(db, trip, wishes.clone()))
        // At the price that was offered: nobody is asked. Above it, the traveller is.
        .event(&room(quote_cents))
        .event(&room(quote_cents + 1))
        // The parts of the join, the first of each beside the others: two seats, a price, and a car or none.
        .event(&SeatHeld { trip, seat: hold(1), cents: 12_300 })
        .event(&SeatHeld { trip, seat: hold(2), cents: 12_400 })
        .event(&PriceSettled { trip, room_cents: quote_cents })
        .event(&PriceApproved { trip, room_cents: quote_cents + 1 })
        .event(&CarHeld { trip, car: hold(4), cents: 9_000 })
        .event(&CarUnavailable { trip })
        // The pivot.
        .event(&TicketsIssued { trip, charged_cents: 80_300 })
        // Whatever ends it.
        .event(&SeatRefused { trip })
        .event(&RoomRefused { trip })
        .event(&PriceRefused { trip })
        .event(&ApprovalExpired { trip })
        .event(&HoldExpired { trip })
        .event(&TicketsRefused { trip })
        .event(&TripOverdue { trip })
        // What is written down.
        .event(&RoomBooked { trip })
        .event(&CarBooked { trip })
        .event(&SeatReleased { trip, seat: hold(1) })
        .event(&RoomReleased { trip })
        .event(&CarReleased { trip })
        .event(&TicketsRefunded { trip, refunded_cents: 70_300, fee_cents: 10_000 })
}

/// The trip's row, as its entry point writes it.
async fn requested(db: Db, trip: TripId, wishes: Wishes) {
    let sql = "insert into trip (id, traveller, wishes, answer_seconds, requested_at) values ($1, 'Arbeau', $2, 60, to_timestamp(0))";
    sqlx::query(sql).bind(trip).bind(Json(wishes)).execute(db.writers()).await.unwrap();
}

#[tokio::test]
async fn the_trip() {
    let report = of_trip().run().await;
    assert!(report.is_passed(), "{report}");
    insta::assert_snapshot!(report.tried());
}

#[tokio::test]
async fn the_flight() -> Result<()> {
    let (client, example) = (provider().await?, Example::new());
    let wanted = |flight: &str, passenger: &str| SeatWanted {
        trip: example.trip,
        passenger: passenger.to_owned(),
        flight: flight.to_owned(),
    };
    let report = fault_matrix(move || flight::service(Flight::new(client.clone())))
        .saga(example.saga)
        .event(&example.requested())
        .event(&wanted("PV7", "Ada"))
        .event(&wanted("PV7", "Thoinot"))
        .event(&wanted("full", "Ada"))
        .event(&example.cancelled())
        .event(&example.confirmed())
        .before("keep-seats", &wanted("PV7", "Ada"))
        .run()
        .await;
    assert!(report.is_passed(), "{report}");
    insta::assert_snapshot!(report.tried());
    Ok(())
}

#[tokio::test]
async fn the_hotel() -> Result<()> {
    let (client, trip) = (provider().await?, Example::new());
    let report = fault_matrix(move || hotel::service(Hotel::new(client.clone())))
        .saga(trip.saga)
        .event(&trip.requested())
        .event(&trip.requested_in_vain())
        .event(&trip.cancelled())
        .event(&trip.confirmed())
        .before("book-room", &trip.requested())
        .run()
        .await;
    assert!(report.is_passed(), "{report}");
    insta::assert_snapshot!(report.tried());
    Ok(())
}

#[tokio::test]
async fn the_car() -> Result<()> {
    let (client, trip) = (provider().await?, Example::new());
    let report = fault_matrix(move || car::service(Car::new(client.clone())))
        .saga(trip.saga)
        .event(&trip.requested())
        .event(&trip.requested_in_vain())
        .event(&trip.cancelled())
        .event(&trip.confirmed())
        .before("book-car", &trip.requested())
        .run()
        .await;
    assert!(report.is_passed(), "{report}");
    insta::assert_snapshot!(report.tried());
    Ok(())
}

#[tokio::test]
async fn ticketing() -> Result<()> {
    let (client, trip) = (provider().await?, Example::new());
    let report = fault_matrix(move || ticketing::service(Ticketing::new(client.clone())))
        .saga(trip.saga)
        .event(&trip.all_held("visa"))
        .event(&trip.all_held("declined"))
        .event(&trip.cancelled())
        .run()
        .await;
    assert!(report.is_passed(), "{report}");
    insta::assert_snapshot!(report.tried());
    Ok(())
}

#[tokio::test]
async fn itineraries() {
    let trip = Example::new();
    let matrix = fault_matrix(itinerary::service).saga(trip.saga);
    matrix.event(&trip.confirmed()).event(&trip.cancelled()).assert().await;
}
