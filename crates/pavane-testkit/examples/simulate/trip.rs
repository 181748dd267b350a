//! A trip that forks and joins: a seat, a room and a car at once; points for seat and room, when both are there; and the trip is
//! confirmed when the points are there and the car is held, or known not to be had.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pavane::{
    All, Correlation, Declared, EntryPoint, Envelope, Event, Handled, HandlerError, IdempotencyKey, OneOf, Saga,
    SagaId,
    any::{Call, Service, Tx},
    on, on_effect, undo, undo_effect,
};
use pavane_testkit::{BoxError, Network, System, Violation, World};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{
    SqlStr,
    migrate::{Migration, MigrationType, Migrator},
};

const BOOK: EntryPoint = EntryPoint::new("book");
const CANCEL: EntryPoint = EntryPoint::new("cancel");
const DEADLINE: Duration = Duration::from_mins(30);

macro_rules! events {
    ($($event:ident = $name:literal)+) => { $(
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $name, key = trip)]
        pub(crate) struct $event {
            trip: String,
        }
    )+ };
}

events! {
    TripRequested = "trip.requested"
    DeadlinePassed = "trip.deadline-passed"
    PointsAdded = "trip.points-added"
    PointsRemoved = "trip.points-removed"
    TripConfirmed = "trip.confirmed"
    TripCancelled = "trip.cancelled"
    SeatHeld = "flight.seat-held"
    SeatRefused = "flight.seat-refused"
    SeatReleased = "flight.seat-released"
    RoomHeld = "hotel.room-held"
    RoomRefused = "hotel.room-refused"
    RoomReleased = "hotel.room-released"
    CarHeld = "car.held"
    CarUnavailable = "car.unavailable"
    CarReleased = "car.released"
}

/// What is held for a trip: a row each.
async fn hold(tx: &mut Tx, trip: &str) -> Handled {
    sqlx::query("insert into held (trip) values ($1)").bind(trip).execute(tx.conn()).await?;
    Ok(())
}

async fn release(tx: &mut Tx, trip: &str) -> Handled {
    sqlx::query("delete from held where trip = $1").bind(trip).execute(tx.conn()).await?;
    Ok(())
}

/// Every so many trips go without: no seat, no room, no car.
fn is_every(nth: usize, trip: &str) -> bool {
    trip.parse().is_ok_and(|number: usize| number % nth == nth - 1)
}

/// The programme of points. Every so many trips it can't count, until somebody repairs it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Points(Arc<AtomicBool>);

async fn add_points(points: &Points, tx: &mut Tx, All((seat, _)): All<(SeatHeld, RoomHeld)>) -> Handled {
    let trip = seat.trip.clone();
    if is_every(4, &trip) && !points.0.load(Ordering::SeqCst) {
        return Err(HandlerError::transient("the points can't be counted"));
    }
    hold(tx, &trip).await?;
    tx.emit(&PointsAdded { trip }).await?;
    Ok(())
}

async fn remove_points(_: &Points, tx: &mut Tx, added: &Envelope<PointsAdded>) -> Handled {
    let trip = added.trip.clone();
    release(tx, &trip).await?;
    tx.emit(&PointsRemoved { trip }).await?;
    Ok(())
}

type Ready = All<(PointsAdded, OneOf<(CarHeld, CarUnavailable)>)>;

async fn confirm(_: &Points, tx: &mut Tx, All((points, _)): Ready) -> Handled {
    let _outcome = tx.decide(&TripConfirmed { trip: points.trip.clone() }).await?;
    Ok(())
}

async fn cancel(tx: &mut Tx, trip: &str) -> Handled {
    let _outcome = tx.decide(&TripCancelled { trip: trip.to_owned() }).await?;
    Ok(())
}

async fn no_seat(_: &Points, tx: &mut Tx, refused: &Envelope<SeatRefused>) -> Handled {
    cancel(tx, &refused.trip).await
}

async fn no_room(_: &Points, tx: &mut Tx, refused: &Envelope<RoomRefused>) -> Handled {
    cancel(tx, &refused.trip).await
}

async fn too_late(_: &Points, tx: &mut Tx, passed: &Envelope<DeadlinePassed>) -> Handled {
    cancel(tx, &passed.trip).await
}

/// What is declared of a trip.
pub(crate) fn saga() -> Saga {
    Saga::new("trip")
        .starts_with::<TripRequested>()
        .completes_with::<TripConfirmed>()
        .aborts_with::<TripCancelled>()
        .within(Duration::from_hours(1))
        .terminal::<(TripConfirmed, PointsRemoved, SeatReleased, RoomReleased, CarReleased)>()
}

/// Decides about the trip, and keeps the customer's points.
pub(crate) fn trip(points: Points) -> Service<Points> {
    Service::new("trip", points)
        .migrations(tables())
        .saga(saga())
        .entry(&BOOK, |entry| entry.emits::<TripRequested>().schedules::<DeadlinePassed>())
        .entry(&CANCEL, Declared::decides::<TripCancelled>)
        .react("add-points", on(add_points).emits::<PointsAdded>())
        .react("remove-points", undo(remove_points).when::<TripCancelled>().emits::<PointsRemoved>())
        .react("confirm", on(confirm).decides::<TripConfirmed>())
        .react("give-up", on(no_seat).or(no_room).or(too_late).decides::<TripCancelled>())
}

async fn hold_seat((): &(), tx: &mut Tx, requested: &Envelope<TripRequested>) -> Handled {
    let trip = requested.trip.clone();
    if is_every(7, &trip) {
        tx.emit(&SeatRefused { trip }).await?;
    } else {
        hold(tx, &trip).await?;
        tx.emit(&SeatHeld { trip }).await?;
    }
    Ok(())
}

async fn release_seat((): &(), tx: &mut Tx, held: &Envelope<SeatHeld>) -> Handled {
    let trip = held.trip.clone();
    release(tx, &trip).await?;
    tx.emit(&SeatReleased { trip }).await?;
    Ok(())
}

pub(crate) fn flight() -> Service<()> {
    Service::new("flight", ())
        .migrations(tables())
        .react("hold-seat", on(hold_seat).emits_one_of::<(SeatHeld, SeatRefused)>())
        .react("release-seat", undo(release_seat).when::<TripCancelled>().emits::<SeatReleased>())
}

/// A hotel as providers are: it does each request once, by its idempotency key. Clones are the same hotel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hotel {
    network: Network,
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    answers: BTreeMap<String, bool>,
    rooms: BTreeMap<String, i64>,
}

impl Hotel {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, key: &IdempotencyKey, trip: &str, rooms: i64) -> Result<bool, HandlerError> {
        let answer = self.network.call(async { self.book().ask(key.to_string(), trip, rooms) }).await;
        answer.map_err(HandlerError::unavailable)
    }
}

impl Book {
    fn ask(&mut self, key: String, trip: &str, rooms: i64) -> bool {
        if let Some(answer) = self.answers.get(&key) {
            return *answer;
        }
        let is_free = rooms < 0 || !is_every(5, trip);
        self.answers.insert(key, is_free);
        *self.rooms.entry(trip.to_owned()).or_default() += if is_free { rooms } else { 0 };
        is_free
    }
}

async fn hold_room(hotel: &Hotel, call: &Call<'_>, requested: &Envelope<TripRequested>) -> Result<bool, HandlerError> {
    hotel.ask(call.key(), &requested.trip, 1).await
}

async fn room_held(_: &Hotel, tx: &mut Tx, requested: &Envelope<TripRequested>, is_free: bool) -> Handled {
    let trip = requested.trip.clone();
    if is_free {
        tx.emit(&RoomHeld { trip }).await?;
    } else {
        tx.emit(&RoomRefused { trip }).await?;
    }
    Ok(())
}

async fn release_room(hotel: &Hotel, call: &Call<'_>, held: &Envelope<RoomHeld>) -> Result<bool, HandlerError> {
    hotel.ask(call.key(), &held.trip, -1).await
}

async fn room_released(_: &Hotel, tx: &mut Tx, held: &Envelope<RoomHeld>, _: bool) -> Handled {
    tx.emit(&RoomReleased { trip: held.trip.clone() }).await?;
    Ok(())
}

pub(crate) fn hotel(hotel: Hotel) -> Service<Hotel> {
    Service::new("hotel", hotel)
        .react("hold-room", on_effect(hold_room, room_held).emits_one_of::<(RoomHeld, RoomRefused)>())
        .react("release-room", undo_effect(release_room, room_released).when::<TripCancelled>().emits::<RoomReleased>())
}

async fn hold_car((): &(), tx: &mut Tx, requested: &Envelope<TripRequested>) -> Handled {
    let trip = requested.trip.clone();
    if is_every(3, &trip) {
        tx.emit(&CarUnavailable { trip }).await?;
    } else {
        hold(tx, &trip).await?;
        tx.emit(&CarHeld { trip }).await?;
    }
    Ok(())
}

async fn release_car((): &(), tx: &mut Tx, held: &Envelope<CarHeld>) -> Handled {
    let trip = held.trip.clone();
    release(tx, &trip).await?;
    tx.emit(&CarReleased { trip }).await?;
    Ok(())
}

pub(crate) fn car() -> Service<()> {
    Service::new("car", ())
        .migrations(tables())
        .react("hold-car", on(hold_car).emits_one_of::<(CarHeld, CarUnavailable)>())
        .react("release-car", undo(release_car).when::<TripCancelled>().emits::<CarReleased>())
}

fn tables() -> Migrator {
    let table = SqlStr::from_static("create table held (trip text not null primary key)");
    Migrator::with_migrations(vec![Migration::new(1, "held".into(), MigrationType::Simple, table, false)])
}

/// The four services, their customers, and what must be true in the end.
pub(crate) fn system(system: &mut System) {
    let rooms = Hotel { network: system.network(), book: Arc::default() };
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
    // What a join gave up on is redriven, which completes it or finds it barred.
    system.repair(move |world| {
        let points = points.clone();
        async move {
            points.0.store(true, Ordering::SeqCst);
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
    tx.emit(&TripRequested { trip: trip.clone() }).await?;
    tx.emit_after(DEADLINE, &DeadlinePassed { trip }).await?;
    tx.commit().await?;
    Ok(saga)
}

/// A confirmed trip has a seat, a room and points, and a car if there was one; every other trip has nothing.
async fn balance(world: World, hotel: Hotel) -> Result<Vec<Violation>, BoxError> {
    let mut held: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for service in ["trip", "flight", "car"] {
        let trips = sqlx::query_scalar("select trip from held").fetch_all(world.db(service).readers()).await?;
        held.insert(service, trips.into_iter().collect());
    }
    let events = world.events();
    let confirmed: BTreeSet<_> = events
        .iter()
        .filter(|event| event.meta.event == pavane_contract::EventRef::of::<TripConfirmed>())
        .map(|event| event.meta.cause.saga)
        .collect();
    let mut violations = Vec::new();
    for saga in world.sagas() {
        let trip = saga.number.to_string();
        let is_confirmed = confirmed.contains(&saga.id);
        let rooms = hotel.book().rooms.get(&trip).copied().unwrap_or_default();
        let found = ["trip", "flight", "car"].map(|service| held[service].contains(&trip));
        let expected = [is_confirmed, is_confirmed, is_confirmed && !is_every(3, &trip)];
        if found != expected || rooms != i64::from(is_confirmed) {
            let what = format!(
                "trip {trip} should have (points, seat, car) {expected:?}, and has {found:?} and {rooms} rooms"
            );
            violations.push(Violation::of(saga.id, what));
        }
    }
    Ok(violations)
}
