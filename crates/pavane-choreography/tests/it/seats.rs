//! Trips with items: a seat for every passenger, and what is joined with that.

use pavane_choreography::{Choreography, Emission, Manifest, Reaction, Saga};

use super::shop::{all, decides, each, entry, event, events, every, join, list, manifest, one_of, react, undo};

/// From `trip.requested` to `trip.confirmed` or `trip.cancelled`.
fn saga(terminal: &[&str], without_undo: &[&str]) -> Saga {
    let mut saga = Saga::new("trip").within(std::time::Duration::from_mins(5));
    saga.starts_with = Some(event("trip.requested"));
    (saga.completes_with, saga.aborts_with) = (events(&["trip.confirmed"]), events(&["trip.cancelled"]));
    saga.terminal = [events(terminal), events(&["trip.confirmed"])].concat();
    saga.without_undo = events(without_undo);
    saga
}

fn trip(confirm: Reaction, failures: &[&str]) -> Manifest {
    let requested = [all(&["trip.requested"]), vec![Emission::Scheduled(events(&["trip.overdue"]))]].concat();
    let cancel = react("cancel", failures, decides(&["trip.cancelled"]));
    manifest("trip", vec![entry("request", requested)], vec![confirm, cancel])
}

/// A seat for every passenger. Without one there is no trip.
pub(crate) fn flight() -> Manifest {
    let seats = vec![
        react("split", &["trip.requested"], list(&["flight.seat-wanted", "flight.no-seats"])),
        each("reserve-seat", "flight.seat-wanted", one_of(&["flight.seat-reserved", "flight.seat-refused"])),
        undo("release-seat", "flight.seat-reserved", &["trip.cancelled"], all(&["flight.seat-released"])),
        every("seats-ready", "flight.seat-reserved", &[], all(&["flight.booked"])),
    ];
    manifest("flight", vec![], seats)
}

pub(crate) fn seats() -> Choreography {
    let confirm = react("confirm", &["flight.booked"], decides(&["trip.confirmed"]));
    let trip = trip(confirm, &["flight.seat-refused", "flight.no-seats", "trip.overdue"]);
    let without_undo = ["flight.seat-wanted", "flight.booked"];
    Choreography::of([trip, flight()]).saga(saga(&["flight.seat-released"], &without_undo))
}

/// A seat for every passenger, and a hotel.
pub(crate) fn seats_and_hotel() -> Choreography {
    let hotel = vec![
        react("hold-room", &["trip.requested"], one_of(&["hotel.held", "hotel.refused"])),
        undo("release-room", "hotel.held", &["trip.cancelled"], all(&["hotel.released"])),
    ];
    let confirm = every("confirm", "flight.seat-reserved", &["hotel.held"], decides(&["trip.confirmed"]));
    let failures = ["flight.seat-refused", "flight.no-seats", "hotel.refused", "trip.overdue"];
    let mut flight = flight();
    flight.reactions.pop();
    let saga = saga(&["flight.seat-released", "hotel.released"], &["flight.seat-wanted"]);
    Choreography::of([trip(confirm, &failures), flight, manifest("hotel", vec![], hotel)]).saga(saga)
}

/// A seat for every passenger, and a tag for every bag, if there are bags.
pub(crate) fn seats_and_bags() -> Choreography {
    let bags = vec![
        react("count", &["trip.requested"], list(&["bags.bag-found", "bags.no-bags"])),
        each("tag", "bags.bag-found", all(&["bags.tagged"])),
        undo("untag", "bags.tagged", &["trip.cancelled"], vec![]),
        every("bags-ready", "bags.tagged", &[], all(&["bags.ready"])),
    ];
    let confirm = join("confirm", &[&["flight.booked"], &["bags.ready", "bags.no-bags"]], decides(&["trip.confirmed"]));
    let failures = ["flight.seat-refused", "flight.no-seats", "trip.overdue"];
    let without_undo = ["flight.seat-wanted", "flight.booked", "bags.bag-found", "bags.no-bags", "bags.ready"];
    let saga = saga(&["flight.seat-released"], &without_undo);
    Choreography::of([trip(confirm, &failures), flight(), manifest("bags", vec![], bags)]).saga(saga)
}
