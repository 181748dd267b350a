//! A trip that forks and joins: a seat for each passenger, a room and a car at once; points for the seats and the room, when all of them
//! are there and the room's price is settled; and the trip is confirmed when the points are there and the car is held, or known not to
//! be had.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pavane::{
    All, Declared, Each, EntryPoint, Envelope, Event, Every, Handled, HandlerError, IdempotencyKey, OneOf, Saga,
    any::{Call, Service, Tx},
    on, on_effect, undo, undo_effect,
};
use pavane_testkit::Network;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{
    SqlStr,
    migrate::{Migration, MigrationType, Migrator},
};

use crate::price::{ANSWER, ask_price};

pub(crate) const BOOK: EntryPoint = EntryPoint::new("book");
pub(crate) const CANCEL: EntryPoint = EntryPoint::new("cancel");
pub(crate) const DEADLINE: Duration = Duration::from_mins(30);

macro_rules! events {
    ($($event:ident = $name:literal $({ $field:ident: $type:ty })?)+) => { $(
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $name, key = trip)]
        pub(crate) struct $event {
            pub(crate) trip: String,
            $(pub(crate) $field: $type,)?
        }
    )+ };
}

events! {
    TripRequested = "trip.requested" { passengers: u32 }
    DeadlinePassed = "trip.deadline-passed"
    PriceSettled = "trip.price-settled"
    PriceAsked = "trip.price-asked"
    AnswerOverdue = "trip.answer-overdue"
    PointsAdded = "trip.points-added"
    PointsRemoved = "trip.points-removed"
    TripConfirmed = "trip.confirmed"
    TripCancelled = "trip.cancelled"
    SeatWanted = "flight.seat-wanted" { passenger: u32 }
    SeatHeld = "flight.seat-held" { passenger: u32 }
    SeatRefused = "flight.seat-refused" { passenger: u32 }
    SeatReleased = "flight.seat-released" { passenger: u32 }
    RoomHeld = "hotel.room-held"
    RoomRefused = "hotel.room-refused"
    RoomReleased = "hotel.room-released"
    CarHeld = "car.held"
    CarUnavailable = "car.unavailable"
    CarReleased = "car.released"
}

/// What is held for a trip: a row for each seat, by its passenger; and one for the car.
async fn hold(tx: &mut Tx, trip: &str, number: u32) -> Handled {
    let hold = sqlx::query("insert into held (trip, number) values ($1, $2)").bind(trip).bind(i64::from(number));
    hold.execute(tx.conn()).await?;
    Ok(())
}

async fn release(tx: &mut Tx, trip: &str, number: u32) -> Handled {
    let release = sqlx::query("delete from held where trip = $1 and number = $2").bind(trip).bind(i64::from(number));
    release.execute(tx.conn()).await?;
    Ok(())
}

/// Every so many trips go without: no seat, no room, no car.
pub(crate) fn is_every(nth: usize, trip: &str) -> bool {
    trip.parse().is_ok_and(|number: usize| number % nth == nth - 1)
}

/// The programme of points. Every so many trips it can't count, until somebody repairs it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Points(Arc<AtomicBool>);

impl Points {
    pub(crate) fn repair(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

type Paid = All<(Every<SeatHeld>, PriceSettled)>;

/// Only the join keeps it from adding them twice.
async fn add_points(points: &Points, tx: &mut Tx, All((Every(seats), price)): Paid) -> Handled {
    let trip = price.trip.clone();
    if is_every(4, &trip) && !points.0.load(Ordering::SeqCst) {
        return Err(HandlerError::transient("the points can't be counted"));
    }
    let add =
        sqlx::query("insert into points (trip, number) values ($1, $2)").bind(&trip).bind(i64::try_from(seats.len())?);
    add.execute(tx.conn()).await?;
    tx.emit(&PointsAdded { trip }).await?;
    Ok(())
}

async fn remove_points(_: &Points, tx: &mut Tx, added: &Envelope<PointsAdded>) -> Handled {
    let trip = added.trip.clone();
    sqlx::query("delete from points where trip = $1").bind(&trip).execute(tx.conn()).await?;
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

async fn no_answer(_: &Points, tx: &mut Tx, overdue: &Envelope<AnswerOverdue>) -> Handled {
    cancel(tx, &overdue.trip).await
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
        .without_undo::<(SeatWanted, PriceSettled, PriceAsked)>()
        .terminal::<(TripConfirmed, PointsRemoved, SeatReleased, RoomReleased, CarReleased)>()
}

/// Decides about the trip, and keeps the customer's points.
pub(crate) fn trip(points: Points) -> Service<Points> {
    let table = SqlStr::from_static("create table points (trip text not null, number bigint not null)");
    Service::new("trip", points)
        .migrations(migrator(table))
        .saga(saga())
        .entry(&BOOK, |entry| entry.emits::<TripRequested>().schedules::<DeadlinePassed>())
        .entry(&CANCEL, Declared::decides::<TripCancelled>)
        .entry(&ANSWER, |entry| entry.answers::<PriceAsked>().expires_with::<AnswerOverdue>().emits::<PriceSettled>())
        .react("ask-price", on(ask_price).emits_one_of::<(PriceSettled, PriceAsked)>().schedules::<AnswerOverdue>())
        .react("add-points", on(add_points).emits::<PointsAdded>())
        .react("remove-points", undo(remove_points).when::<TripCancelled>().emits::<PointsRemoved>())
        .react("confirm", on(confirm).decides::<TripConfirmed>())
        .react("give-up", on(no_seat).or(no_room).or(no_answer).or(too_late).decides::<TripCancelled>())
}

async fn split((): &(), tx: &mut Tx, requested: &Envelope<TripRequested>) -> Handled {
    let wanted = |passenger| SeatWanted { trip: requested.trip.clone(), passenger };
    tx.emit_each((1..=requested.passengers).map(wanted)).await?;
    Ok(())
}

/// Of the trips that go without, it is the last seat that isn't to be had.
async fn hold_seat((): &(), tx: &mut Tx, wanted: Each<SeatWanted>) -> Handled {
    let SeatWanted { trip, passenger } = wanted.body.clone();
    if is_every(7, &trip) && wanted.item().number() == wanted.item().count() {
        tx.emit(&SeatRefused { trip, passenger }).await?;
    } else {
        hold(tx, &trip, passenger).await?;
        tx.emit(&SeatHeld { trip, passenger }).await?;
    }
    Ok(())
}

async fn release_seat((): &(), tx: &mut Tx, held: Each<SeatHeld>) -> Handled {
    let SeatHeld { trip, passenger } = held.body.clone();
    release(tx, &trip, passenger).await?;
    tx.emit(&SeatReleased { trip, passenger }).await?;
    Ok(())
}

pub(crate) fn flight() -> Service<()> {
    Service::new("flight", ())
        .migrations(tables())
        .react("split", on(split).emits_each::<SeatWanted>())
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
    pub(crate) fn behind(network: Network) -> Self {
        Self { network, book: Arc::default() }
    }

    /// How many rooms it keeps for a trip.
    pub(crate) fn rooms(&self, trip: &str) -> i64 {
        self.book().rooms.get(trip).copied().unwrap_or_default()
    }

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
        hold(tx, &trip, 1).await?;
        tx.emit(&CarHeld { trip }).await?;
    }
    Ok(())
}

async fn release_car((): &(), tx: &mut Tx, held: &Envelope<CarHeld>) -> Handled {
    let trip = held.trip.clone();
    release(tx, &trip, 1).await?;
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
    migrator(SqlStr::from_static(
        "create table held (trip text not null, number bigint not null, primary key (trip, number))",
    ))
}

fn migrator(table: SqlStr) -> Migrator {
    Migrator::with_migrations(vec![Migration::new(1, "tables".into(), MigrationType::Simple, table, false)])
}
