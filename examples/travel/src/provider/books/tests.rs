use std::time::Duration;

use pavane_testkit::VirtualClock;

use super::*;

const FAULTS: Faults = Faults { late: Duration::ZERO, key_life: Duration::from_hours(1) };

fn room(wish: &str) -> Order {
    Order { stock: Stock::Room, reference: "7".to_owned(), wish: wish.to_owned() }
}

#[test]
fn a_key_is_answered_once_until_it_is_forgotten() {
    let (mut books, clock) = (Books::default(), VirtualClock::new(0));
    let first = books.hold("k", room("dear"), &clock, FAULTS).unwrap();
    assert_eq!((first.cents, first.status), (40_000, Status::Held));
    assert_eq!(books.hold("k", room("dear"), &clock, FAULTS), Ok(first));
    clock.advance(Duration::from_hours(1));
    assert_ne!(books.hold("k", room("dear"), &clock, FAULTS), Ok(first));
    assert_eq!(books.balance().held[&Stock::Room], 2);
}

#[test]
fn what_is_asked_for_chooses_what_goes_wrong() {
    let (mut books, clock) = (Books::default(), VirtualClock::new(0));
    let mut ask = |key: &str, wish: &str| books.hold(key, room(wish), &clock, FAULTS).map(|hold| hold.cents);
    assert_eq!([ask("a", "full"), ask("a", "full")], [Err(No::Refused); 2]);
    assert_eq!([ask("b", "flaky"), ask("b", "flaky")], [Err(No::Busy), Ok(32_000)]);
    assert_eq!([ask("c", "forgetful"), ask("c", "forgetful")], [Err(No::Busy); 2]);
    assert_eq!(books.balance().held[&Stock::Room], 2, "what the forgetful one holds is held once");
    assert!(books.find_hold(&room("forgetful")).is_some() && books.find_hold(&room("full")).is_none());
}

#[test]
fn tickets_book_seats_and_are_given_back_for_a_fee_once() {
    let (mut books, clock) = (Books::default(), VirtualClock::new(0));
    let seat = books.hold("s", Order { stock: Stock::Seat, ..room("PV7") }, &clock, FAULTS).unwrap().id;
    let trip = Uuid::from_u128(7).into();
    let tickets = |card: &str| Tickets { trip, seats: vec![seat], cents: 19_900, card: card.to_owned() };
    assert_eq!(books.issue("a", tickets("declined"), &clock, FAULTS), Err(No::Refused));
    assert_eq!(books.issue("b", tickets("visa"), &clock, FAULTS), Ok(()));
    assert_eq!(books.issue("b", tickets("visa"), &clock, FAULTS), Ok(()));
    assert_eq!(books.balance().booked[&Stock::Seat], 1);
    let refund = Refund { refunded_cents: 17_910, fee_cents: 1_990 };
    assert_eq!([books.refund(trip), books.refund(trip)], [Ok(refund); 2]);
    let Balance { charged_cents, refunded_cents, fee_cents, .. } = books.balance();
    assert_eq!((charged_cents, refunded_cents, fee_cents), (19_900, 17_910, 1_990));
    books.set(seat, Status::Released).unwrap();
    assert_eq!(books.set(seat, Status::Booked), Err(No::Refused));
    assert_eq!(books.issue("c", tickets("visa"), &clock, FAULTS), Err(No::Refused), "the seat is gone");
}
