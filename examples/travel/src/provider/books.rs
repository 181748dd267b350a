//! What a provider holds, has booked and was paid: pure rules.

use std::collections::{BTreeMap, HashMap};

use pavane::{Timestamp, contract::Clock};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Faults;
use crate::contracts::{HoldId, TripId};

/// What can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum Stock {
    /// A seat on a flight.
    Seat,
    /// A room in a hotel.
    Room,
    /// A car.
    Car,
}

impl Stock {
    /// What one costs, as it is offered.
    pub const fn price_cents(self) -> i64 {
        match self {
            Self::Seat => 19_900,
            Self::Room => 32_000,
            Self::Car => 8_500,
        }
    }
}

/// How far something is that was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum Status {
    /// Nobody else gets it.
    Held,
    /// It is paid, and stays.
    Booked,
    /// It is free again.
    Released,
}

/// What somebody wants held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "a request's body")]
pub struct Order {
    /// What.
    pub stock: Stock,
    /// For whom, in the words of the one who asks.
    pub reference: String,
    /// Which flight, hotel or car.
    pub wish: String,
}

/// Something that is held, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "an answer's body")]
pub struct Hold {
    /// Which one.
    pub id: HoldId,
    /// What it costs.
    pub cents: i64,
    /// How far it is.
    pub status: Status,
}

/// Tickets to be issued, and paid for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "a request's body")]
pub struct Tickets {
    /// The trip.
    pub trip: TripId,
    /// For these seats.
    pub seats: Vec<HoldId>,
    /// What the trip costs.
    pub cents: i64,
    /// The card that pays.
    pub card: String,
}

/// What was given back for tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "an answer's body")]
pub struct Refund {
    /// This much.
    pub refunded_cents: i64,
    /// And this much not.
    pub fee_cents: i64,
}

/// The provider's books, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Balance {
    /// What is held, by its kind.
    pub held: BTreeMap<Stock, i64>,
    /// What is booked.
    pub booked: BTreeMap<Stock, i64>,
    /// What was charged.
    pub charged_cents: i64,
    /// What was given back.
    pub refunded_cents: i64,
    /// Fees that were kept.
    pub fee_cents: i64,
}

/// Why something isn't done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum No {
    /// There is none, or the card doesn't pay.
    Refused,
    /// Not now; perhaps it was done.
    Busy,
    /// There is nothing of that name.
    Unknown,
}

#[derive(Debug, Default)]
pub(super) struct Books {
    holds: BTreeMap<HoldId, (Order, Hold)>,
    paid: Vec<(Tickets, Option<Refund>)>,
    /// The answers that were given, by idempotency key, and since when it is known.
    keys: HashMap<String, (Timestamp, Option<Answered>)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Answered {
    Held(Hold),
    Paid,
    Refused,
}

impl Books {
    /// Holds what was asked for, once for each key that is known.
    pub(super) fn hold(&mut self, key: &str, order: Order, clock: &dyn Clock, faults: Faults) -> Result<Hold, No> {
        if let Some(answered) = self.before(key, &order.wish, clock.now(), faults)? {
            return if let Answered::Held(hold) = answered { Ok(hold) } else { Err(No::Refused) };
        }
        if order.wish == "full" {
            self.answer(key, Answered::Refused);
            return Err(No::Refused);
        }
        let id = Uuid::from_u64_pair(clock.random(), clock.random()).into();
        let price = order.stock.price_cents();
        let cents = if order.wish == "dear" { price + price / 4 } else { price };
        let hold = Hold { id, cents, status: Status::Held };
        self.answer(key, Answered::Held(hold));
        let is_forgetful = order.wish == FORGETFUL;
        self.holds.insert(id, (order, hold));
        if is_forgetful { Err(No::Busy) } else { Ok(hold) }
    }

    /// Charges for tickets and books their seats, once for each key that is known. Seats that are released can't have any.
    pub(super) fn issue(&mut self, key: &str, tickets: Tickets, clock: &dyn Clock, faults: Faults) -> Result<(), No> {
        if let Some(answered) = self.before(key, &tickets.card, clock.now(), faults)? {
            return if let Answered::Paid = answered { Ok(()) } else { Err(No::Refused) };
        }
        let is_held = |seat| self.holds.get(seat).is_some_and(|(_, hold)| hold.status == Status::Held);
        if tickets.card == "declined" || !tickets.seats.iter().all(is_held) {
            self.answer(key, Answered::Refused);
            return Err(No::Refused);
        }
        for seat in &tickets.seats {
            self.set(*seat, Status::Booked)?;
        }
        self.answer(key, Answered::Paid);
        let is_forgetful = tickets.card == FORGETFUL;
        self.paid.push((tickets, None));
        if is_forgetful { Err(No::Busy) } else { Ok(()) }
    }

    /// Books what is held, or releases it. What is so already stays so, and what is released stays released.
    pub(super) fn set(&mut self, id: HoldId, status: Status) -> Result<(), No> {
        let (_, hold) = self.holds.get_mut(&id).ok_or(No::Unknown)?;
        if hold.status == Status::Released && status != Status::Released {
            return Err(No::Refused);
        }
        hold.status = status;
        Ok(())
    }

    /// Gives back what a trip's tickets cost, less a tenth. A second time it answers as the first.
    pub(super) fn refund(&mut self, trip: TripId) -> Result<Refund, No> {
        let (tickets, refund) = self.paid.iter_mut().find(|(tickets, _)| tickets.trip == trip).ok_or(No::Unknown)?;
        let fee_cents = tickets.cents / 10;
        Ok(*refund.get_or_insert(Refund { refunded_cents: tickets.cents - fee_cents, fee_cents }))
    }

    /// The first that an order got. Its reference names it.
    pub(super) fn find_hold(&self, order: &Order) -> Option<Hold> {
        self.holds.values().find(|(held, _)| held == order).map(|(_, hold)| *hold)
    }

    pub(super) fn find_tickets(&self, trip: TripId) -> Option<Tickets> {
        self.paid.iter().find(|(tickets, _)| tickets.trip == trip).map(|(tickets, _)| tickets.clone())
    }

    pub(super) fn holds(&self) -> impl Iterator<Item = &(Order, Hold)> {
        self.holds.values()
    }

    pub(super) fn charged(&self) -> impl Iterator<Item = TripId> {
        self.paid.iter().map(|(tickets, _)| tickets.trip)
    }

    pub(super) fn balance(&self) -> Balance {
        let mut balance = Balance::default();
        for (order, hold) in self.holds.values() {
            match hold.status {
                Status::Held => *balance.held.entry(order.stock).or_default() += 1,
                Status::Booked => *balance.booked.entry(order.stock).or_default() += 1,
                Status::Released => {}
            }
        }
        for (tickets, refund) in &self.paid {
            balance.charged_cents += tickets.cents;
            balance.refunded_cents += refund.map_or(0, |refund| refund.refunded_cents);
            balance.fee_cents += refund.map_or(0, |refund| refund.fee_cents);
        }
        balance
    }

    /// What was answered under the key, unless it is new or forgotten.
    fn before(&mut self, key: &str, wish: &str, now: Timestamp, faults: Faults) -> Result<Option<Answered>, No> {
        self.keys.retain(|_, (since, _)| now.duration_since(*since).unsigned_abs() < faults.key_life);
        let known = self.keys.get(key).copied();
        if known.is_none() {
            self.keys.insert(key.to_owned(), (now, None));
        }
        match (known, wish) {
            (None, "flaky") | (Some(_), FORGETFUL) => Err(No::Busy),
            (known, _) => Ok(known.and_then(|(_, answered)| answered)),
        }
    }

    fn answer(&mut self, key: &str, answered: Answered) {
        if let Some((_, answer)) = self.keys.get_mut(key) {
            *answer = Some(answered);
        }
    }
}

const FORGETFUL: &str = "forgetful";

#[cfg(test)]
mod tests;
