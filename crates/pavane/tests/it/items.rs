//! Items: a saga has several of a kind, each with a row, retries and an undo of its own.

mod refused;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use pavane::{
    All, Correlation, Declared, Each, EntryPoint, Envelope, Event, Every, Handled, HandlerError, Item, SagaId,
    any::{Call, Service, Tx},
    on, on_effect, undo, undo_effect,
};
use pavane_contract::SystemClock;
use pavane_testkit::{FreshDatabase, Instances, Stage, given};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{
    SqlStr,
    migrate::{Migration, MigrationType, Migrator},
};

macro_rules! events {
    ($($event:ident = $name:literal)+) => { $(
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $name, key = trip)]
        struct $event {
            trip: String,
            /// How many seats, or which one.
            seat: usize,
        }

        impl $event {
            fn of(trip: &str, seat: usize) -> Self {
                Self { trip: trip.to_owned(), seat }
            }
        }
    )+ };
}

events! {
    Requested = "agency.requested"
    HotelHeld = "hotel.held"
    Cancelled = "agency.cancelled"
    SeatWanted = "flight.seat-wanted"
    NoSeats = "flight.no-seats"
    SeatHeld = "flight.seat-held"
    SeatRefused = "flight.seat-refused"
    SeatReleased = "flight.seat-released"
    Ticketed = "flight.ticketed"
    Voided = "flight.ticket-voided"
    Booked = "flight.booked"
    Packed = "flight.packed"
}

const BOOK: EntryPoint = EntryPoint::new("book");

#[derive(Debug, Default)]
struct Airline {
    /// Calls that have no answer yet: they fail.
    outages: AtomicU32,
    issued: Mutex<Vec<String>>,
    voided: Mutex<Vec<String>>,
}

impl Airline {
    fn answer(&self) -> Result<(), HandlerError> {
        match self.outages.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(HandlerError::unavailable("the airline is away")),
            Err(_) => Ok(()),
        }
    }
}

type State = Arc<Airline>;

async fn split(_: &State, tx: &mut Tx, trip: &Envelope<Requested>) -> Handled {
    if trip.seat == 0 {
        tx.emit(&NoSeats::of(&trip.trip, 0)).await?;
        return Ok(());
    }
    tx.emit_each((0..trip.seat).map(|seat| SeatWanted::of(&trip.trip, seat))).await?;
    Ok(())
}

async fn hold(_: &State, tx: &mut Tx, wanted: Each<SeatWanted>) -> Handled {
    if wanted.seat == 13 {
        tx.emit(&SeatRefused::of(&wanted.trip, 13)).await?;
        return Ok(());
    }
    assert_eq!(usize::try_from(wanted.item().number()).unwrap(), wanted.seat + 1);
    let insert = sqlx::query("insert into seat (trip, seat) values ($1, $2)").bind(&wanted.trip);
    insert.bind(i64::try_from(wanted.seat)?).execute(tx.conn()).await?;
    tx.emit(&SeatHeld::of(&wanted.trip, wanted.seat)).await?;
    Ok(())
}

async fn release(_: &State, tx: &mut Tx, held: Each<SeatHeld>) -> Handled {
    let delete = sqlx::query("delete from seat where trip = $1 and seat = $2").bind(&held.trip);
    delete.bind(i64::try_from(held.seat)?).execute(tx.conn()).await?;
    tx.emit(&SeatReleased::of(&held.trip, held.seat)).await?;
    Ok(())
}

async fn issue(airline: &State, call: &Call<'_>, held: Each<SeatHeld>) -> Result<usize, HandlerError> {
    airline.answer()?;
    airline.issued.lock().unwrap().push(call.key().to_string());
    Ok(held.seat)
}

async fn issued(_: &State, tx: &mut Tx, held: Each<SeatHeld>, seat: usize) -> Handled {
    assert_eq!(held.seat, seat);
    tx.emit(&Ticketed::of(&held.trip, seat)).await?;
    Ok(())
}

/// It fails for the second ticket, as long as there are outages.
async fn void(airline: &State, call: &Call<'_>, ticket: Each<Ticketed>) -> Result<(), HandlerError> {
    if ticket.item().number() == 2 && airline.answer().is_err() {
        return Err(HandlerError::transient("the airline has lost the second ticket"));
    }
    airline.voided.lock().unwrap().push(call.key().to_string());
    Ok(())
}

async fn voided(_: &State, tx: &mut Tx, ticket: Each<Ticketed>, (): ()) -> Handled {
    tx.emit(&Voided::of(&ticket.trip, ticket.seat)).await?;
    Ok(())
}

async fn book(_: &State, tx: &mut Tx, Every(seats): Every<SeatHeld>) -> Handled {
    let numbers: Vec<_> = seats.iter().map(|seat| seat.seat).collect();
    assert_eq!(numbers, (0..seats.len()).collect::<Vec<_>>(), "in the order of the list");
    tx.emit(&Booked::of(&seats[0].trip, seats.len())).await?;
    Ok(())
}

async fn pack(_: &State, tx: &mut Tx, All((Every(tickets), hotel)): All<(Every<Ticketed>, HotelHeld)>) -> Handled {
    tx.emit(&Packed::of(&hotel.trip, tickets.len())).await?;
    Ok(())
}

/// Seats are held by a local step, tickets issued by an effect; both are undone. Two joins wait for every seat and every ticket.
fn flight(airline: &State) -> Service<State> {
    Service::new("flight", Arc::clone(airline))
        .migrations(tables())
        .entry(&BOOK, Declared::emits_each::<SeatWanted>)
        .react("split", on(split).emits_each::<SeatWanted>().or_if_none::<NoSeats>())
        .react("hold", on(hold).emits_one_of::<(SeatHeld, SeatRefused)>())
        .react("release", undo(release).when::<Cancelled>().after_undo_of::<Ticketed>().emits::<SeatReleased>())
        .react("issue", on_effect(issue, issued).emits::<Ticketed>())
        .react("void", undo_effect(void, voided).when::<Cancelled>().emits::<Voided>())
        .react("book", on(book).emits::<Booked>())
        .react("pack", on(pack).emits::<Packed>())
}

fn tables() -> Migrator {
    let table =
        SqlStr::from_static("create table seat (trip text not null, seat bigint not null, primary key (trip, seat))");
    Migrator::with_migrations(vec![Migration::new(1, "seats".into(), MigrationType::Simple, table, false)])
}

async fn stage(airline: &State) -> Stage<State> {
    given(flight(airline)).await
}

/// The seats of a trip, as the first reaction wants them.
fn wanted(seats: usize) -> Vec<SeatWanted> {
    (0..seats).map(|seat| SeatWanted::of("7", seat)).collect()
}

fn times(names: &[String], name: &str) -> usize {
    names.iter().filter(|it| *it == name).count()
}

const DONE: &str = "select count(*) from pavane_ledger where state = 'done' and item <> ''";
const SEATS: &str = "select count(*) from seat";

#[tokio::test]
async fn a_list_is_numbered_and_its_stamp_goes_on() {
    let mut stage = stage(&State::default()).await;
    stage.receive(&Requested::of("7", 3)).await;
    let items = |name: &str| -> Vec<_> {
        let events = stage.emitted_events().into_iter().filter(|event| event.meta.event.name == name);
        events.map(|event| event.meta.cause.item).collect()
    };
    let all = [Item::new(1, 3), Item::new(2, 3), Item::new(3, 3)];
    for name in ["flight.seat-wanted", "flight.seat-held", "flight.ticketed"] {
        assert_eq!(items(name), all, "{name}");
    }
    assert_eq!(items("flight.booked"), [None], "every item together is the saga as a whole");
    assert_eq!(stage.count(DONE).await, 6);
    assert!(stage.dead_letters().is_empty());
}

/// Two instances on either database, each event three times; every other trip is cancelled at some moment.
#[tokio::test(flavor = "multi_thread")]
async fn each_item_runs_once_and_is_undone_once_however_its_events_arrive() {
    const SAGAS: usize = 40;
    for database in FreshDatabase::of_each_kind().await {
        let airline = State::new(Airline { outages: AtomicU32::new(20), ..Airline::default() });
        let service = {
            let airline = Arc::clone(&airline);
            move || flight(&airline)
        };
        let mut flights = Instances::none(&database, service).await;
        flights.start().await;
        flights.start().await;
        let sagas: Vec<_> = (0..SAGAS).map(|_| SagaId::new(&SystemClock)).collect();
        for (number, saga) in sagas.iter().enumerate() {
            let (trip, seats) = (number.to_string(), 1 + number % 5);
            if number % 4 == 1 {
                flights.publish(*saga, &Cancelled::of(&trip, 0));
            }
            let requested = flights.publish(*saga, &Requested::of(&trip, seats));
            flights.deliver(&requested);
            flights.publish(*saga, &HotelHeld::of(&trip, 0));
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        for (number, saga) in sagas.iter().enumerate().filter(|(number, _)| number % 4 == 3) {
            flights.publish(*saga, &Cancelled::of(&number.to_string(), 0));
        }
        flights.settle().await;
        // What was handled is delivered again.
        for saga in &sagas {
            flights.deliver_all(&flights.emitted_events(*saga));
        }
        flights.settle().await;
        for (number, saga) in sagas.iter().enumerate() {
            // Those that were delivered again are on the bus twice.
            let events: HashMap<_, _> = flights
                .emitted_events(*saga)
                .into_iter()
                .map(|event| (event.meta.id, event.meta.event.name.clone()))
                .collect();
            let (names, seats) = (events.into_values().collect::<Vec<_>>(), 1 + number % 5);
            let count = |name| times(&names, name);
            assert_eq!(count("flight.seat-wanted"), seats);
            assert_eq!(
                count("flight.seat-held") - count("flight.seat-released"),
                if number % 2 == 1 { 0 } else { seats }
            );
            assert_eq!(
                count("flight.ticketed") - count("flight.ticket-voided"),
                if number % 2 == 1 { 0 } else { seats }
            );
            if number % 2 == 0 {
                assert_eq!((count("flight.booked"), count("flight.packed")), (1, 1), "{names:?}");
            }
        }
        let kept = (0..SAGAS).filter(|number| number % 2 == 0).map(|number| 1 + number % 5).sum::<usize>();
        assert_eq!(flights.count(SEATS).await, i64::try_from(kept).unwrap(), "{}", database.url());
        assert!(flights.dead_letters().is_empty(), "{:?}", flights.dead_letters());
        flights.stop().await;
    }
}

#[tokio::test]
async fn an_undo_bars_items_that_have_not_come_and_undoes_those_that_are_done() {
    let mut stage = stage(&State::default()).await;
    let wanted = stage.envelope_each(&wanted(3));
    stage.deliver_all(&wanted[..2]).await;
    assert_eq!(stage.emitted_names().len(), 4);
    stage.receive(&Cancelled::of("7", 0)).await;
    let mut released: Vec<_> = stage.emitted_events();
    released.retain(|event| event.meta.event.is::<SeatReleased>());
    let items: Vec<_> = released.iter().map(|event| event.meta.cause.item).collect();
    assert_eq!(items, [Item::new(1, 3), Item::new(2, 3)]);
    stage.deliver(&wanted[2]).await;
    assert!(stage.emitted_names().is_empty(), "too late");
    stage.receive(&Cancelled::of("7", 0)).await;
    assert!(stage.emitted_names().is_empty(), "the second time there is nothing to undo");
    assert_eq!(stage.count(SEATS).await, 0);
    assert!(stage.dead_letters().is_empty());
}

#[tokio::test]
async fn a_call_is_made_for_each_item_under_a_key_of_its_own() {
    let airline = State::new(Airline { outages: AtomicU32::new(4), ..Airline::default() });
    let mut stage = stage(&airline).await;
    stage.receive_each(&wanted(3)).await;
    assert_eq!(times(&stage.emitted_names(), "flight.ticketed"), 3);
    airline.outages.store(2, Ordering::SeqCst);
    stage.receive(&Cancelled::of("7", 0)).await;
    let voided: Vec<_> = stage.emitted::<Voided>().iter().map(|ticket| ticket.seat).collect();
    assert_eq!(voided, [0, 2, 1], "one that fails doesn't keep the others");
    for keys in [&airline.issued, &airline.voided] {
        let calls: Vec<String> = keys.lock().unwrap().drain(..).collect();
        assert_eq!((calls.len(), calls.iter().collect::<HashSet<_>>().len()), (3, 3), "{calls:?}");
    }
    assert_eq!(stage.count(SEATS).await, 0, "the seats are released after the tickets are void");
    assert_eq!(stage.count("select count(*) from pavane_waiting").await, 0);
}

/// As long as an item's call has no answer, nobody knows whether there is something to undo.
#[tokio::test]
async fn an_undo_waits_for_an_item_whose_call_has_no_answer_and_no_other_starts_meanwhile() {
    let airline = State::default();
    let mut stage = stage(&airline).await;
    let held = stage.envelope_each(&[SeatHeld::of("7", 0), SeatHeld::of("7", 1)]);
    let running = "insert into pavane_ledger (saga, step, item, state, event_id, changed_at) values ($1, 'issue', '1', 'running', $2, 7)";
    let saga = held[0].meta.cause.saga.to_string();
    let insert = sqlx::query(running).bind(&saga).bind(held[0].meta.id.to_string());
    insert.execute(stage.db().writers()).await.unwrap();
    stage.receive(&Cancelled::of("7", 0)).await;
    let waiting = "select count(*) from pavane_waiting where reaction = 'void'";
    assert_eq!(stage.count(waiting).await, 1);
    stage.deliver(&held[1]).await;
    assert!(airline.issued.lock().unwrap().is_empty(), "the second one meets the bar");
    stage.deliver(&held[0]).await;
    assert_eq!((airline.issued.lock().unwrap().len(), airline.voided.lock().unwrap().len()), (1, 1));
    assert_eq!(stage.count(waiting).await, 0);
}

#[tokio::test]
async fn an_entry_point_emits_a_list() {
    let mut stage = stage(&State::default()).await;
    let mut tx = stage.entry(&BOOK).begin(Correlation::start()).await.unwrap();
    tx.emit_each(wanted(2)).await.unwrap();
    tx.commit().await.unwrap();
    stage.settle().await;
    assert_eq!(times(&stage.emitted_names(), "flight.seat-held"), 2);
    assert_eq!(stage.emitted::<Booked>(), [Booked::of("7", 2)]);
}
