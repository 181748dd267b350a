//! What can happen to a trip, and how it must end.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde::Serialize;
use uuid::Uuid;

use crate::{contracts::Wishes, provider::Stock, trip::entries::NewTrip};

/// One way for a trip to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "a new one must be thought of everywhere")]
pub enum Scenario {
    /// Everything is there.
    Confirmed,
    /// There is no car, and the trip takes place without.
    NoCar,
    /// The room is dearer, and the traveller agrees.
    PriceApproved,
    /// The provider is not there at first.
    Flaky,
    /// The provider does everything, says so of nothing, and forgets that it was asked.
    Forgetful,
    /// The flight is full.
    NoSeat,
    /// The hotel is full.
    NoRoom,
    /// The room is dearer, and the traveller doesn't want it.
    PriceRefused,
    /// The room is dearer, and the traveller doesn't answer.
    NoAnswer,
    /// The hotel doesn't keep the room until the traveller answers.
    HoldExpires,
    /// The card is declined.
    NotPaid,
    /// The trip was overdue, and then the hotel says that it holds a room.
    RoomTooLate,
    /// The traveller cancels while seats and room are looked for.
    CancelledEarly,
    /// The traveller cancels while the tickets are issued.
    CancelledAtTickets,
}

impl Scenario {
    /// All of them, with how many of 100 trips go that way.
    pub const WEIGHTS: [(Self, usize); 14] = [
        (Self::Confirmed, 36),
        (Self::NoCar, 8),
        (Self::PriceApproved, 8),
        (Self::Flaky, 5),
        (Self::Forgetful, 3),
        (Self::NoSeat, 6),
        (Self::NoRoom, 6),
        (Self::PriceRefused, 5),
        (Self::NoAnswer, 3),
        (Self::HoldExpires, 3),
        (Self::NotPaid, 5),
        (Self::RoomTooLate, 4),
        (Self::CancelledEarly, 4),
        (Self::CancelledAtTickets, 4),
    ];

    /// Why it must be cancelled; `None` if it must be confirmed.
    pub const fn cancel_reason(self) -> Option<&'static str> {
        match self {
            Self::Confirmed | Self::NoCar | Self::PriceApproved | Self::Flaky | Self::Forgetful => None,
            Self::NoSeat => Some("no-seat"),
            Self::NoRoom => Some("no-room"),
            Self::PriceRefused => Some("price-refused"),
            Self::NoAnswer => Some("no-answer"),
            Self::HoldExpires => Some("hold-expired"),
            Self::NotPaid => Some("not-paid"),
            Self::RoomTooLate => Some("deadline-passed"),
            Self::CancelledEarly | Self::CancelledAtTickets => Some("traveller-request"),
        }
    }

    /// What the traveller answers about the room's price, if asked and awake.
    pub fn answer(self) -> Option<bool> {
        let answers = [(Self::PriceApproved, true), (Self::PriceRefused, false)];
        answers.into_iter().find_map(|(scenario, agrees)| (scenario == self).then_some(agrees))
    }

    /// How far the trip is when the traveller cancels.
    pub fn cancelled_at(self) -> Option<&'static str> {
        let moments = [(Self::CancelledEarly, "requested"), (Self::CancelledAtTickets, "paying")];
        moments.into_iter().find_map(|(scenario, status)| (scenario == self).then_some(status))
    }

    /// The request that makes the provider play along.
    pub fn request(self, number: usize) -> NewTrip {
        let text = str::to_owned;
        let passengers = (0..=number % 3).map(|seat| format!("passenger {seat} of {number}")).collect();
        let (mut flight, mut hotel, mut car, mut card) =
            ("PV7", "Arbeau", (!number.is_multiple_of(4)).then_some("small"), "visa");
        let (mut deadline_seconds, mut hold_seconds, mut answer_seconds) = (86_400, 86_400, 43_200);
        match self {
            Self::Confirmed => {}
            Self::NoCar => car = Some("full"),
            Self::PriceApproved | Self::PriceRefused => hotel = "dear",
            Self::Flaky => (flight, hotel, car, card) = ("flaky", "flaky", Some("flaky"), "flaky"),
            Self::Forgetful => hotel = "forgetful",
            Self::NoSeat => flight = "full",
            Self::NoRoom => hotel = "full",
            Self::NoAnswer => (hotel, answer_seconds) = ("dear", 1),
            Self::HoldExpires => (hotel, hold_seconds) = ("dear", 1),
            Self::NotPaid => card = "declined",
            Self::RoomTooLate => (hotel, deadline_seconds) = ("late", 1),
            Self::CancelledEarly => hotel = "late",
            Self::CancelledAtTickets => card = "late",
        }
        let wishes = Wishes {
            passengers,
            flight: text(flight),
            hotel: text(hotel),
            room_quote_cents: Stock::Room.price_cents(),
            car: car.map(text),
            card: text(card),
        };
        let (traveller, reference) = (format!("traveller {number}"), Some(Uuid::from_u128(rand::random())));
        NewTrip { traveller, reference, wishes, deadline_seconds, hold_seconds, answer_seconds }
    }

    /// In words, for the table.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Confirmed => "everything is there",
            Self::NoCar => "no car",
            Self::PriceApproved => "dearer room, approved",
            Self::Flaky => "provider is flaky",
            Self::Forgetful => "provider does it and forgets",
            Self::NoSeat => "no seat",
            Self::NoRoom => "no room",
            Self::PriceRefused => "dearer room, refused",
            Self::NoAnswer => "dearer room, no answer",
            Self::HoldExpires => "hold expires before the answer",
            Self::NotPaid => "card declined",
            Self::RoomTooLate => "room held after the deadline",
            Self::CancelledEarly => "cancelled while booking",
            Self::CancelledAtTickets => "cancelled while tickets are issued",
        }
    }
}

/// `trips` scenarios in a seeded order: every one at least once when there are enough trips.
pub fn draw(trips: usize, seed: u64) -> Vec<Scenario> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut drawn: Vec<_> = Scenario::WEIGHTS.iter().map(|(scenario, _)| *scenario).take(trips).collect();
    while drawn.len() < trips {
        let mut at = rng.random_range(0..100);
        let hit = Scenario::WEIGHTS.iter().find(|(_, weight)| {
            let hit = at < *weight;
            at = at.saturating_sub(*weight);
            hit
        });
        drawn.extend(hit.map(|(scenario, _)| *scenario));
    }
    drawn.shuffle(&mut rng);
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_scenarios_and_all_of_them() {
        assert_eq!(Scenario::WEIGHTS.iter().map(|(_, weight)| weight).sum::<usize>(), 100);
        let drawn = draw(200, 7);
        assert_eq!(drawn, draw(200, 7));
        assert_ne!(drawn, draw(200, 8));
        assert!(Scenario::WEIGHTS.iter().all(|(scenario, _)| drawn.contains(scenario)));
        assert_eq!((draw(3, 1).len(), draw(0, 1).len()), (3, 0));
    }
}
