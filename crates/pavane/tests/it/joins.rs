//! Joins: a reaction that runs once in a saga, when there is an event of each part.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use pavane::{
    All, Envelope, Event, Handled, HandlerError, OneOf, SagaId,
    any::{Call, Service, Tx},
    on, on_effect, undo,
};
use pavane_contract::SystemClock;
use pavane_testkit::{FreshDatabase, Instances, Stage, envelope, fault_matrix, given};
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
        }

        impl $event {
            fn of(trip: &str) -> Self {
                Self { trip: trip.to_owned() }
            }
        }
    )+ };
}

events! {
    FlightBooked = "flight.booked"
    HotelBooked = "hotel.booked"
    CarBooked = "car.booked"
    CarUnavailable = "car.unavailable"
    Cancelled = "agency.cancelled"
    Confirmed = "trip.confirmed"
    Charged = "trip.charged"
    Noted = "trip.noted"
    Failed = "trip.failed"
    Withdrawn = "trip.withdrawn"
}

type Booked = All<(FlightBooked, HotelBooked, OneOf<(CarBooked, CarUnavailable)>)>;

#[derive(Debug, Default)]
struct Trip {
    /// Calls that have no answer yet: they fail.
    outages: AtomicU32,
    calls: Mutex<Vec<String>>,
}

type State = Arc<Trip>;

async fn confirm(_: &State, tx: &mut Tx, All((flight, hotel, car)): Booked) -> Handled {
    assert_eq!((&flight.trip, &hotel.trip), (&hotel.trip, &flight.trip));
    let car = car.get::<CarBooked>().map_or("none", |_| "a car");
    let insert = sqlx::query("insert into confirmed (trip, car) values ($1, $2)");
    insert.bind(&flight.trip).bind(car).execute(tx.conn()).await?;
    tx.emit(&Confirmed::of(&flight.trip)).await?;
    Ok(())
}

async fn withdraw(_: &State, tx: &mut Tx, confirmed: &Envelope<Confirmed>) -> Handled {
    sqlx::query("delete from confirmed where trip = $1").bind(&confirmed.trip).execute(tx.conn()).await?;
    tx.emit(&Withdrawn::of(&confirmed.trip)).await?;
    Ok(())
}

async fn charge(
    trip: &State,
    call: &Call<'_>,
    All((flight, _)): All<(FlightBooked, HotelBooked)>,
) -> Result<(), HandlerError> {
    trip.calls.lock().unwrap().push(call.key().to_string());
    if flight.trip == "impossible" {
        return Err(HandlerError::reject("the bank has no such account"));
    }
    if trip.outages.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
        return Err(HandlerError::unavailable("the bank is away"));
    }
    Ok(())
}

async fn charged(_: &State, tx: &mut Tx, All((flight, _)): All<(FlightBooked, HotelBooked)>, (): ()) -> Handled {
    tx.emit(&Charged::of(&flight.trip)).await?;
    Ok(())
}

async fn note(_: &State, tx: &mut Tx, All((flight, _)): All<(FlightBooked, HotelBooked)>) -> Handled {
    if flight.trip.starts_with("bad") {
        return Err(HandlerError::transient("the pen is dry"));
    }
    tx.emit(&Noted::of(&flight.trip)).await?;
    Ok(())
}

/// A join that can be undone, one with an effect, and one that is neither.
fn trip(state: &State) -> Service<State> {
    Service::new("trip", Arc::clone(state))
        .migrations(tables())
        .react("confirm", on(confirm).emits::<Confirmed>())
        .react("withdraw", undo(withdraw).when::<Cancelled>().emits::<Withdrawn>())
        .react("charge", on_effect(charge, charged).emits::<Charged>())
        .react(
            "note",
            on(note)
                .emits::<Noted>()
                .gives_up_with(|hotel: &Envelope<HotelBooked>| Failed::of(&hotel.trip))
                .tuned(|tuning| (tuning.max_attempts, tuning.backoff_base) = (2, Duration::from_millis(1))),
        )
}

fn tables() -> Migrator {
    let table = SqlStr::from_static("create table confirmed (trip text not null, car text not null)");
    Migrator::with_migrations(vec![Migration::new(1, "trips".into(), MigrationType::Simple, table, false)])
}

/// Every order of three.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

#[tokio::test(flavor = "multi_thread")]
async fn a_join_runs_once_however_its_events_arrive() {
    const SAGAS: usize = 48;
    for database in FreshDatabase::of_each_kind().await {
        let state = State::default();
        let service = {
            let state = Arc::clone(&state);
            move || trip(&state)
        };
        let mut trips = Instances::none(&database, service).await;
        let sagas: Vec<_> = (0..SAGAS).map(|_| SagaId::new(&SystemClock)).collect();
        let mut waves: [Vec<_>; 3] = Default::default();
        for (number, saga) in sagas.iter().enumerate() {
            let name = number.to_string();
            let car = if number % 2 == 0 {
                envelope(*saga, &CarBooked::of(&name))
            } else {
                envelope(*saga, &CarUnavailable::of(&name))
            };
            let events = [envelope(*saga, &FlightBooked::of(&name)), envelope(*saga, &HotelBooked::of(&name)), car];
            for (wave, event) in waves.iter_mut().zip(ORDERS[number % ORDERS.len()]) {
                wave.push(events[event].clone());
            }
        }
        // Both instances are at it from the first event on; each event comes three times.
        trips.start().await;
        trips.start().await;
        for wave in waves.iter().chain(&waves).chain(&waves) {
            trips.deliver_all(wave);
        }
        trips.settle().await;
        for saga in sagas {
            let mut names = trips.emitted_names(saga);
            names.sort();
            assert_eq!(names, ["trip.charged", "trip.confirmed", "trip.noted"], "{}", database.url());
        }
        let count = i64::try_from(SAGAS).unwrap();
        assert_eq!(trips.count("select count(*) from confirmed").await, count);
        assert_eq!(trips.count("select count(*) from confirmed where car = 'a car'").await, count / 2);
        assert_eq!(trips.count("select count(*) from pavane_ledger where state = 'done'").await, 3 * count);
        assert_eq!(trips.count("select count(*) from pavane_part").await, 7 * count);
        assert!(trips.dead_letters().is_empty());
        let keys: HashSet<String> = state.calls.lock().unwrap().drain(..).collect();
        assert_eq!(keys.len(), SAGAS, "a call that is made again has the same key");
        trips.stop().await;
    }
}

#[tokio::test]
async fn a_join_waits_until_nothing_is_missing() {
    let mut stage = stage(&State::default()).await;
    stage.receive(&FlightBooked::of("7")).await;
    assert!(stage.emitted_names().is_empty());
    stage.receive(&CarUnavailable::of("7")).await;
    assert!(stage.emitted_names().is_empty());
    let gathering = "select count(*) from pavane_ledger where state = 'gathering'";
    assert_eq!(stage.count(gathering).await, 3);
    stage.receive(&HotelBooked::of("7")).await;
    assert_eq!(stage.emitted_names(), ["trip.confirmed", "trip.charged", "trip.noted"]);
    let causes: Vec<_> = stage.emitted_events().iter().map(|event| event.meta.cause.event).collect();
    assert!(
        causes.iter().all(|cause| cause.is_some() && *cause == causes[0]),
        "by the event that came last: {causes:?}"
    );
    assert_eq!(stage.count(gathering).await, 0);
}

#[tokio::test]
async fn a_second_event_of_a_part_is_kept_as_a_dead_letter() {
    for late in [false, true] {
        let mut stage = stage(&State::default()).await;
        stage.receive(&FlightBooked::of("7")).await.receive(&CarBooked::of("7")).await;
        if late {
            stage.receive(&HotelBooked::of("7")).await;
        }
        stage.receive(&CarUnavailable::of("7")).await;
        let letters = stage.dead_letters();
        assert_eq!(letters.len(), 1, "{letters:?}");
        let cause = "the join has car.booked or car.unavailable already, by the event ";
        assert!(letters[0].cause.contains(cause), "{}", letters[0].cause);
        if !late {
            stage.receive(&HotelBooked::of("7")).await;
        }
        assert_eq!(stage.count("select count(*) from confirmed").await, 1);
        assert_eq!(stage.count("select count(*) from confirmed where car = 'a car'").await, 1, "the first one counts");
    }
}

#[tokio::test]
async fn an_undo_between_its_events_bars_a_join() {
    let mut stage = stage(&State::default()).await;
    stage.receive(&FlightBooked::of("7")).await.receive(&HotelBooked::of("7")).await;
    stage.receive(&Cancelled::of("7")).await;
    stage.receive(&CarBooked::of("7")).await;
    assert!(stage.emitted::<Confirmed>().is_empty() && stage.emitted::<Withdrawn>().is_empty());
    assert_eq!(stage.count("select count(*) from pavane_ledger where step = 'confirm' and state = 'barred'").await, 1);
    assert!(stage.dead_letters().is_empty());
}

#[tokio::test]
async fn an_undo_undoes_a_join_once() {
    let mut stage = stage(&State::default()).await;
    stage.receive(&FlightBooked::of("7")).await.receive(&HotelBooked::of("7")).await.receive(&CarBooked::of("7")).await;
    stage.receive(&Cancelled::of("7")).await;
    assert_eq!(stage.emitted::<Withdrawn>(), [Withdrawn::of("7")]);
    stage.receive(&Cancelled::of("7")).await;
    assert!(stage.emitted::<Withdrawn>().is_empty(), "the second time there is nothing to undo");
    assert_eq!(stage.count("select count(*) from confirmed").await, 0);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_and_the_join_runs_once() {
    let trip = State::new(Trip { outages: AtomicU32::new(3), ..Trip::default() });
    let mut stage = stage(&trip).await;
    stage.receive(&FlightBooked::of("7")).await.receive(&HotelBooked::of("7")).await;
    let calls = trip.calls.lock().unwrap().clone();
    assert!(calls.len() == 4 && calls.iter().all(|key| *key == calls[0]), "{calls:?}");
    assert_eq!(stage.emitted::<Charged>(), [Charged::of("7")]);
}

/// As if the event that completed it had not come: it is a dead letter.
#[tokio::test]
async fn an_effect_that_is_rejected_lets_the_join_gather_again() {
    let bank = State::default();
    let mut stage = stage(&bank).await;
    stage.receive(&FlightBooked::of("impossible")).await.receive(&HotelBooked::of("impossible")).await;
    assert_eq!((bank.calls.lock().unwrap().len(), stage.dead_letters().len()), (1, 1));
    let gathers =
        "select count(*) from pavane_ledger where step = 'charge' and state = 'gathering' and event_id is null";
    assert_eq!(stage.count(gathers).await, 1);
    assert_eq!(stage.count("select count(*) from pavane_part where step = 'charge'").await, 1, "that of the flight");
    stage.receive(&HotelBooked::of("8")).await;
    assert_eq!(bank.calls.lock().unwrap().len(), 2, "another event of that part may complete it");
}

/// As it is deployed: what one version has kept, the next one finds.
#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_takes_one_more_alternative_has_what_it_had() {
    async fn before((): &(), tx: &mut Tx, All((flight, _, _)): All<(FlightBooked, CarBooked, HotelBooked)>) -> Handled {
        tx.emit(&Noted::of(&flight.trip)).await?;
        Ok(())
    }
    async fn after((): &(), tx: &mut Tx, All((flight, _, _)): Booked) -> Handled {
        tx.emit(&Noted::of(&flight.trip)).await?;
        Ok(())
    }
    for database in FreshDatabase::of_each_kind().await {
        let saga = SagaId::new(&SystemClock);
        let old = || Service::new("trip", ()).react("note", on(before).emits::<Noted>());
        let mut old = Instances::one(&database, old).await;
        old.publish(saga, &FlightBooked::of("7"));
        old.publish(saga, &CarBooked::of("7"));
        old.settle().await;
        old.stop().await;
        let new = || Service::new("trip", ()).react("note", on(after).emits::<Noted>());
        let mut new = Instances::one(&database, new).await;
        new.publish(saga, &CarUnavailable::of("7"));
        new.publish(saga, &HotelBooked::of("7"));
        new.settle().await;
        assert_eq!(new.emitted::<Noted>(saga), [Noted::of("7")]);
        assert_eq!(new.dead_letters().len(), 1, "it has the car already");
        new.stop().await;
    }
}

#[tokio::test]
async fn a_join_that_gives_up_says_so_once_and_never_runs() {
    let mut stage = stage(&State::default()).await;
    stage.receive(&HotelBooked::of("bad 7")).await;
    assert!(stage.emitted::<Failed>().is_empty(), "the first event alone is no reason to give up");
    stage.receive(&FlightBooked::of("bad 7")).await;
    assert_eq!(stage.emitted::<Failed>(), [Failed::of("bad 7")], "made from the other event, which is there");
    assert_eq!(stage.count("select count(*) from pavane_ledger where step = 'note' and state = 'barred'").await, 1);
    // The second event of a part is refused; the join is not given up on a second time.
    stage.receive(&HotelBooked::of("bad 7")).await;
    assert!(stage.emitted::<Failed>().is_empty());
}

/// Nothing is known of the other event yet.
#[tokio::test]
async fn a_first_event_that_can_not_be_kept_is_no_reason_to_say_that_the_join_failed() {
    let mut stage = stage(&State::default()).await;
    let full = "create trigger full before insert on pavane_part begin select raise(abort, 'full'); end";
    sqlx::raw_sql(full).execute(stage.db().writers()).await.unwrap();
    stage.receive(&HotelBooked::of("7")).await;
    assert_eq!(stage.dead_letters().len(), 3, "each join gave up on it");
    assert!(stage.emitted::<Failed>().is_empty());
}

/// Its type is looked at when it arrives, not when the join is complete: then another event would be blamed.
#[tokio::test]
async fn an_event_that_does_not_fit_its_type_is_no_part() {
    let mut stage = stage(&State::default()).await;
    let mut flight = stage.envelope(&FlightBooked::of("7"));
    flight.body = br#"{"trip": 7}"#.as_slice().into();
    stage.deliver(&flight).await;
    let letters = stage.dead_letters();
    assert_eq!(letters.len(), 3, "of each join: {letters:?}");
    assert_eq!(stage.count("select count(*) from pavane_part").await, 0);
    stage.receive(&FlightBooked::of("7")).await.receive(&HotelBooked::of("7")).await.receive(&CarBooked::of("7")).await;
    assert_eq!(stage.count("select count(*) from pavane_ledger where state = 'done'").await, 3);
}

#[tokio::test]
async fn nothing_that_fails_does_harm() {
    for on_postgres in [false, true] {
        let matrix = fault_matrix(|| trip(&State::default()));
        let matrix = if on_postgres { matrix.on_postgres() } else { matrix };
        let matrix = matrix.event(&FlightBooked::of("7")).event(&HotelBooked::of("7"));
        let matrix = matrix.event(&CarBooked::of("7")).event(&CarUnavailable::of("7"));
        matrix.event(&Cancelled::of("7")).assert().await;
    }
}

#[tokio::test]
#[should_panic(expected = "waits for flight.booked v1 in two parts")]
async fn the_same_event_in_two_parts_is_refused() {
    async fn twice((): &(), _: &mut Tx, _: All<(FlightBooked, OneOf<(FlightBooked, HotelBooked)>)>) -> Handled {
        Ok(())
    }
    given(Service::new("trip", ()).react("twice", on(twice))).await;
}

async fn stage(state: &State) -> Stage<State> {
    given(trip(state)).await
}
