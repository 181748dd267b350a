//! A trip: flight, hotel and car side by side, a price that a person approves, tickets when all is confirmed.

use std::time::Duration;

use pavane_choreography::{Choreography, Emission, Manifest, Reaction, Saga};

use super::{
    seats,
    shop::{all, answer, decides, entry, event, events, join, manifest, one_of, react, undo, with_effect},
};

pub(crate) fn saga() -> Saga {
    let mut saga = Saga::new("trip").within(Duration::from_hours(24));
    saga.starts_with = Some(event("trip.requested"));
    saga.completes_with = events(&["trip.confirmed"]);
    saga.aborts_with = events(&["trip.cancelled"]);
    saga.without_undo = events(&["trip.price-asked"]);
    saga.terminal = events(&["flight.cancelled", "hotel.released", "car.returned", "ticketing.issued"]);
    saga
}

pub(crate) fn choreography() -> Choreography {
    Choreography::of(manifests()).saga(saga())
}

pub(crate) fn manifests() -> Vec<Manifest> {
    let tickets = with_effect(react("issue-tickets", &["trip.confirmed"], all(&["ticketing.issued"])));
    vec![
        trip(),
        booking("flight", ("book-flight", "cancel-flight"), ("flight.booked", "flight.refused", "flight.cancelled")),
        booking("hotel", ("hold-room", "release-room"), ("hotel.held", "hotel.refused", "hotel.released")),
        booking("car", ("book-car", "return-car"), ("car.booked", "car.unavailable", "car.returned")),
        manifest("ticketing", vec![], vec![tickets]),
    ]
}

/// The same, with a seat for every passenger.
pub(crate) fn with_seats() -> Choreography {
    let mut manifests = manifests();
    manifests[0].reactions[2].on.extend(events(&["flight.seat-refused", "flight.no-seats"]));
    manifests[0].reactions[2].on.retain(|event| event.name != "flight.refused");
    manifests[1] = seats::flight();
    // To reserve one, and to release it.
    manifests[1].reactions[1..=2].iter_mut().for_each(|reaction| reaction.effect = true);
    let mut saga = saga();
    saga.terminal.retain(|event| event.name != "flight.cancelled");
    saga.terminal.extend(events(&["flight.seat-released"]));
    saga.without_undo.extend(events(&["flight.seat-wanted", "flight.booked"]));
    Choreography::of(manifests).saga(saga)
}

fn trip() -> Manifest {
    let later = |names: &[&str]| vec![Emission::Scheduled(events(names))];
    let failures = ["flight.refused", "hotel.refused", "trip.price-refused", "trip.price-expired", "trip.overdue"];
    let parts: [&[&str]; 3] = [&["flight.booked"], &["trip.price-approved"], &["car.booked", "car.unavailable"]];
    let approve = one_of(&["trip.price-approved", "trip.price-refused"]);
    let entries = vec![
        entry("request-trip", [all(&["trip.requested"]), later(&["trip.overdue"])].concat()),
        entry("cancel-trip", decides(&["trip.cancelled"])),
        answer("approve-price", "trip.price-asked", Some("trip.price-expired"), approve),
    ];
    let reactions = vec![
        react("ask-price", &["hotel.held"], [all(&["trip.price-asked"]), later(&["trip.price-expired"])].concat()),
        join("confirm-trip", &parts, decides(&["trip.confirmed"])),
        react("cancel-trip", &failures, decides(&["trip.cancelled"])),
    ];
    manifest("trip", entries, reactions)
}

/// A service that books, or says no.
fn booking(service: &str, names: (&str, &str), (yes, no, undone): (&str, &str, &str)) -> Manifest {
    let book = with_effect(react(names.0, &["trip.requested"], one_of(&[yes, no])));
    let cancel = with_effect(undo(names.1, yes, &["trip.cancelled"], all(&[undone])));
    let reactions: Vec<Reaction> = vec![book, cancel];
    manifest(service, vec![], reactions)
}
