//! The trip as a system: what its customers and its operator do, and what must be true in the end.

use std::collections::{BTreeMap, BTreeSet};

use pavane::{Correlation, SagaId};
use pavane_contract::EventRef;
use pavane_testkit::{BoxError, System, Violation, World};

use crate::{
    price::answer,
    trip::{
        BOOK, CANCEL, DEADLINE, DeadlinePassed, Hotel, Points, PriceSettled, TripCancelled, TripConfirmed,
        TripRequested, car, flight, hotel, is_every, trip,
    },
};

/// The four services, their customers, and what must be true in the end.
pub(crate) fn trips(system: &mut System) {
    let rooms = Hotel::behind(system.network());
    let points = Points::default();
    system.service({
        let points = points.clone();
        move || trip(points.clone())
    });
    system.service(flight);
    system.service({
        let rooms = rooms.clone();
        move || hotel(rooms.clone())
    });
    system.service(car);
    system.begin(book);
    system.interlude(|world, saga| async move {
        let mut tx = world.entry("trip", &CANCEL).begin(Correlation::of(saga.id)).await?;
        let _outcome = tx.decide(&TripCancelled { trip: saga.number.to_string() }).await?;
        Ok(tx.commit().await?)
    });
    system.interlude(answer);
    // What a join gave up on is redriven, which completes it or finds it barred.
    system.repair(move |world| {
        let points = points.clone();
        async move {
            points.repair();
            let given_up = world.given_up().await?;
            for letter in &given_up {
                world.redrive(letter);
            }
            Ok(!given_up.is_empty())
        }
    });
    system.invariant("all or nothing", move |world| balance(world, rooms.clone()));
}

async fn book(world: World, number: usize) -> Result<SagaId, BoxError> {
    let mut tx = world.entry("trip", &BOOK).begin(Correlation::start()).await?;
    let (saga, trip) = (tx.saga(), number.to_string());
    tx.emit(&TripRequested { trip: trip.clone(), passengers: passengers(number) }).await?;
    tx.emit_after(DEADLINE, &DeadlinePassed { trip }).await?;
    tx.commit().await?;
    Ok(saga)
}

/// One to three, who have a seat each.
fn passengers(number: usize) -> u32 {
    [2, 3, 1][number % 3]
}

/// A confirmed trip has all of its seats, a point for each, a room, and a car if there was one, at a price that is settled; every other
/// trip has nothing.
async fn balance(world: World, hotel: Hotel) -> Result<Vec<Violation>, BoxError> {
    const POINTS: &str = "select trip, cast(sum(number) as bigint) from points group by trip";
    const ROWS: &str = "select trip, count(*) from held group by trip";
    let mut held: BTreeMap<(&str, String), i64> = BTreeMap::new();
    for (service, sql) in [("trip", POINTS), ("flight", ROWS), ("car", ROWS)] {
        let found: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(world.db(service).readers()).await?;
        held.extend(found.into_iter().map(|(trip, number)| ((service, trip), number)));
    }
    let events = world.events();
    let about = |named: EventRef| -> BTreeSet<SagaId> {
        events.iter().filter(|event| event.meta.event == named).map(|event| event.meta.cause.saga).collect()
    };
    let (confirmed, settled) = (about(EventRef::of::<TripConfirmed>()), about(EventRef::of::<PriceSettled>()));
    let mut violations = Vec::new();
    for saga in world.sagas() {
        let trip = saga.number.to_string();
        let is_confirmed = confirmed.contains(&saga.id);
        let seats = if is_confirmed { i64::from(passengers(saga.number)) } else { 0 };
        let found = ["trip", "flight", "car"].map(|of| held.get(&(of, trip.clone())).copied().unwrap_or_default());
        let expected = [seats, seats, i64::from(is_confirmed && !is_every(3, &trip))];
        let rooms = hotel.rooms(&trip);
        if found != expected || rooms != i64::from(is_confirmed) {
            let what = format!(
                "trip {trip} should have (points, seats, cars) {expected:?}, and has {found:?} and {rooms} rooms"
            );
            violations.push(Violation::of(saga.id, what));
        }
        if is_confirmed && !settled.contains(&saga.id) {
            violations.push(Violation::of(saga.id, format!("trip {trip} is confirmed, and its price isn't settled")));
        }
    }
    Ok(violations)
}
