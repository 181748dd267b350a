//! What enters from outside, each in one transaction: a request, a cancellation, an answer.

use std::time::Duration;

use pavane::{Correlation, Decision, EntryPoint, database::Error, postgres::Entry};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::store;
use crate::contracts::{
    CancelReason, PriceApproved, PriceAsked, PriceRefused, TripCancelled, TripId, TripOverdue, TripRequested, Wishes,
};

/// Where trips are requested.
pub const REQUEST: EntryPoint = EntryPoint::new("request-trip");
/// Where a traveller cancels.
pub const CANCEL: EntryPoint = EntryPoint::new("cancel-trip");
/// Where a traveller answers about a room's new price.
pub const APPROVE: EntryPoint = EntryPoint::new("approve-price");

/// What a traveller requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "a request's body")]
pub struct NewTrip {
    /// Who.
    pub traveller: String,
    /// A number of the traveller's own. A second request with it is the same trip: so a request whose answer was lost can be sent again.
    #[serde(default)]
    pub reference: Option<Uuid>,
    /// What.
    pub wishes: Wishes,
    /// How long the trip may take to be confirmed. Default and most: a day.
    #[serde(default = "a_day")]
    pub deadline_seconds: u32,
    /// How long the hotel has to hold the room. Default: a day.
    #[serde(default = "a_day")]
    pub hold_seconds: u32,
    /// How long the traveller has to answer a question. Default: half a day.
    #[serde(default = "half_a_day")]
    pub answer_seconds: u32,
}

const fn a_day() -> u32 {
    86_400
}

const fn half_a_day() -> u32 {
    43_200
}

/// Writes a trip down, and lets it begin, unless it was [requested before](NewTrip::reference).
///
/// # Errors
///
/// When the database fails, or the outbox is full.
pub async fn request(request: &Entry, new: &NewTrip) -> Result<TripId, Error> {
    let mut tx = request.begin(Correlation::start()).await?;
    let trip = TripId::of(tx.saga());
    if !store::insert(&mut tx, trip, new).await? {
        return Ok(store::referred(&mut tx, new.reference).await?);
    }
    tx.emit_after(Duration::from_secs(new.deadline_seconds.into()), &TripOverdue { trip }).await?;
    tx.emit(&TripRequested { trip, wishes: new.wishes.clone(), hold_seconds: new.hold_seconds }).await?;
    tx.commit().await?;
    Ok(trip)
}

/// Cancels a trip for its traveller, unless it has ended: the first one that decides wins.
///
/// # Errors
///
/// As [`request`].
pub async fn cancel(cancel: &Entry, trip: TripId) -> Result<Decision, Error> {
    let mut tx = cancel.begin(Correlation::of(trip.saga())).await?;
    let reason = CancelReason::TravellerRequest;
    store::lock(&mut tx, trip).await?;
    let decision = tx.decide(&TripCancelled { trip, reason }).await?;
    if decision == Decision::Won {
        store::cancelled(&mut tx, trip, reason).await?;
    }
    tx.commit().await?;
    Ok(decision)
}

/// Answers whether a traveller wants the room at its new price.
///
/// # Errors
///
/// As [`Entry::answer`].
pub async fn answer(approve: &Entry, trip: TripId, by: &str, agrees: bool) -> Result<(), Error> {
    let mut tx = approve.answer(trip.saga(), by).await?;
    let asked = tx.question().map(pavane::Envelope::decode::<PriceAsked>).transpose()?;
    match asked {
        Some(asked) if agrees => tx.emit(&PriceApproved { trip, room_cents: asked.room_cents }).await?,
        _ => tx.emit(&PriceRefused { trip }).await?,
    }
    tx.commit().await
}
