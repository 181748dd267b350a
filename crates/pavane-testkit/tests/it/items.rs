//! The fault matrix of what runs for each item, and of what waits for every one.

use std::collections::BTreeSet;

use pavane::{
    Each, Handled, HandlerError,
    any::{Call, Service, Tx},
    on_effect, undo_effect,
};
use pavane_testkit::{FaultMatrix, fault_matrix};

use crate::trip::{
    AnswerOverdue, CarHeld, CarUnavailable, DeadlinePassed, Points, PointsAdded, PriceSettled, RoomHeld, RoomRefused,
    SeatHeld, SeatRefused, SeatReleased, SeatWanted, TripCancelled, TripRequested, flight, trip,
};

fn id() -> String {
    "8".to_owned()
}

fn wanted(passenger: u32) -> SeatWanted {
    SeatWanted { trip: id(), passenger }
}

/// A service that holds a seat for each passenger.
fn of_seats<S: Send + Sync + 'static>(service: impl Fn() -> Service<S> + 'static) -> FaultMatrix<S> {
    fault_matrix(service)
        .event(&TripRequested { trip: id(), passengers: 3 })
        .event(&wanted(1))
        .event(&wanted(2))
        .event(&TripCancelled { trip: id() })
}

fn of_points() -> FaultMatrix<Points> {
    fault_matrix(|| trip(Points::default()))
        .event(&SeatHeld { trip: id(), passenger: 1 })
        .event(&SeatHeld { trip: id(), passenger: 2 })
        .event(&RoomHeld { trip: id() })
        .event(&PriceSettled { trip: id() })
        .event(&AnswerOverdue { trip: id() })
        .event(&PointsAdded { trip: id() })
        .event(&CarHeld { trip: id() })
        .event(&CarUnavailable { trip: id() })
        .event(&SeatRefused { trip: id(), passenger: 1 })
        .event(&RoomRefused { trip: id() })
        .event(&DeadlinePassed { trip: id() })
        .event(&TripCancelled { trip: id() })
}

/// As the flight, at an airline that is called for each seat.
fn airline() -> Service<()> {
    Service::new("flight", ())
        .react("hold-seat", on_effect(ask, record).emits::<SeatHeld>())
        .react("release-seat", undo_effect(give_back, record_back).when::<TripCancelled>().emits::<SeatReleased>())
}

async fn ask((): &(), _: &Call<'_>, _: Each<SeatWanted>) -> Result<(), HandlerError> {
    Ok(())
}

async fn record((): &(), tx: &mut Tx, wanted: Each<SeatWanted>, (): ()) -> Handled {
    let SeatWanted { trip, passenger } = wanted.body.clone();
    tx.emit(&SeatHeld { trip, passenger }).await?;
    Ok(())
}

async fn give_back((): &(), _: &Call<'_>, _: Each<SeatHeld>) -> Result<(), HandlerError> {
    Ok(())
}

async fn record_back((): &(), tx: &mut Tx, held: Each<SeatHeld>, (): ()) -> Handled {
    let SeatHeld { trip, passenger } = held.body.clone();
    tx.emit(&SeatReleased { trip, passenger }).await?;
    Ok(())
}

fn of_airline() -> FaultMatrix<()> {
    fault_matrix(airline).event(&wanted(1)).event(&TripCancelled { trip: id() })
}

/// What is planted in the tables before each trial, and the faults under which it is noticed.
async fn noticed<S: Send + Sync + 'static>(matrix: FaultMatrix<S>, sql: &'static str) -> BTreeSet<String> {
    let planted = matrix.given(move |db| async move {
        sqlx::raw_sql(sql).execute(db.writers()).await.unwrap();
    });
    planted.run().await.failures().map(|case| case.fault.clone()).collect()
}

fn set<const N: usize>(faults: [&str; N]) -> BTreeSet<String> {
    faults.map(ToOwned::to_owned).into()
}

const IN_ORDERS: [&str; 5] = [
    "two items",
    "two items at once",
    "two items, the first one twice",
    "two items, the second one first",
    "two items, the second one twice",
];
const UNDONE: [&str; 4] = [
    "the undo after two items",
    "the undo after two items, the second one first",
    "the undo before two items",
    "the undo between two items",
];

#[tokio::test]
async fn a_step_for_each_item_does_no_harm_whatever_fails() {
    for matrix in [of_seats(flight), of_airline()] {
        let report = matrix.run().await;
        assert!(report.is_passed(), "{report}");
        let tried: BTreeSet<&str> =
            report.cases.iter().filter(|case| case.reaction == "hold-seat").map(|case| case.fault.as_str()).collect();
        for fault in IN_ORDERS.into_iter().chain(UNDONE) {
            assert!(tried.contains(fault), "{fault}: {tried:#?}");
        }
        let has_effect = tried.contains("crash before the call");
        assert_eq!(tried.contains("the undo while the first of two items runs"), has_effect, "{tried:#?}");
    }
}

#[tokio::test]
async fn a_join_of_every_item_does_no_harm_whatever_fails() {
    let report = of_points().run().await;
    assert!(report.is_passed(), "{report}");
    let of_join = report.cases.iter().filter(|case| case.reaction == "add-points");
    let tried: BTreeSet<&str> =
        of_join.filter(|case| case.event == "flight.seat-held").map(|case| case.fault.as_str()).collect();
    for fault in IN_ORDERS.into_iter().chain(["the first item is missing", "the second item is missing"]) {
        assert!(tried.contains(fault), "{fault}: {tried:#?}");
    }
}

#[tokio::test]
async fn items_on_postgresql_do_no_harm_whatever_fails() {
    of_airline().on_postgres().assert().await;
}

#[tokio::test]
async fn what_a_worse_framework_would_do_to_items_is_named() {
    let one_is_not_undone = "create trigger planted before update on pavane_ledger when new.state = 'undone' and new.item = '2' \
                             begin select raise(ignore); end";
    let found = noticed(of_seats(flight), one_is_not_undone).await;
    assert_eq!(found, set(["the undo after two items"]));

    let others_start = "create trigger planted after update on pavane_ledger when new.item = '' and new.state = 'barred' \
                        begin update pavane_ledger set state = 'gathering' where saga = new.saga and step = new.step and item = ''; end";
    let found = noticed(of_seats(flight), others_start).await;
    assert_eq!(found, set(["the undo between two items"]));

    let bar_is_forgotten = "create trigger planted after insert on pavane_ledger when new.item = '' and new.state = 'barred' \
                            begin delete from pavane_ledger where saga = new.saga and step = new.step and item = ''; end";
    let found = noticed(of_seats(flight), bar_is_forgotten).await;
    assert_eq!(found, set(["the undo before the step", "the undo before two items"]));

    let anothers_is_kept = "create trigger planted after update of kept on pavane_ledger when new.item = '2' \
                            begin update pavane_ledger set kept = first.kept from pavane_ledger as first \
                            where first.saga = new.saga and first.step = new.step and first.item = '1' and first.kept is not null \
                            and pavane_ledger.saga = new.saga and pavane_ledger.step = new.step and pavane_ledger.item = '2'; end";
    let found = noticed(of_seats(flight), anothers_is_kept).await;
    assert_eq!(found, set(["the undo after two items, the second one first"]));

    let duplicate_is_another = "create trigger planted before insert on pavane_inbox \
                                when exists (select 1 from pavane_inbox where reaction = new.reaction and event_id = new.event_id) \
                                begin insert or ignore into pavane_part (saga, step, part, item, event_id, event, arrived_at) \
                                select saga, step, part, '2/2', event_id, event, arrived_at from pavane_part \
                                where step = new.reaction and event_id = new.event_id and item = '1/2'; end";
    let found = noticed(of_points(), duplicate_is_another).await;
    assert_eq!(found, set(["two items, the first one twice"]));
}

#[tokio::test]
async fn items_that_can_not_be_the_same_need_two_examples() {
    let alone = fault_matrix(flight).event(&TripRequested { trip: id(), passengers: 1 }).event(&wanted(1));
    let report = alone.event(&TripCancelled { trip: id() }).run().await.to_string();
    assert!(report.contains("two items can't be the same here"), "{report}");
}
