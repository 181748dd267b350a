//! A travel booking on Pavane: it forks and joins, has several of a kind, and waits for a person.
//!
//! | service | does | undoes |
//! |---|---|---|
//! | [`trip`] | takes requests, asks about dearer rooms, joins what is held, decides how the trip ends | |
//! | [`flight`] | holds a seat for each passenger | releases each |
//! | [`hotel`] | holds a room, for a while | releases it |
//! | [`car`] | holds a car, if there is one | releases it |
//! | [`ticketing`] | charges the card and issues the tickets: the pivot | gives back the money, less a fee |
//! | [`itinerary`] | writes to the traveller | |
//!
//! Behind them is a [`provider`] that is late, flaky and forgetful, and raises prices. [`demo`] runs all of it in one process;
//! `docs/travel.md` shows what is proved.

pub mod car;
pub mod contracts;
pub mod demo;
pub mod flight;
pub mod hotel;
pub mod itinerary;
mod process;
pub mod provider;
pub mod ticketing;
mod timestamptz;
pub mod trip;
