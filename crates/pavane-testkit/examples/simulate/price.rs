//! The price of a room: where it is dearer than it was offered, the customer is asked, and has a while to answer.

use std::time::Duration;

use pavane::{EntryPoint, Envelope, Handled, any::Tx, database::Error};
use pavane_testkit::{BoxError, Saga, World};

use crate::trip::{AnswerOverdue, Points, PriceAsked, PriceSettled, RoomHeld, is_every};

pub(crate) const ANSWER: EntryPoint = EntryPoint::new("answer");
/// Longer than it takes until an event comes again.
const ANSWER_WITHIN: Duration = Duration::from_secs(40);

/// Every second room is dearer.
pub(crate) async fn ask_price(_: &Points, tx: &mut Tx, held: &Envelope<RoomHeld>) -> Handled {
    let trip = held.trip.clone();
    if is_every(2, &trip) {
        tx.emit_after(ANSWER_WITHIN, &AnswerOverdue { trip: trip.clone() }).await?;
        tx.emit(&PriceAsked { trip }).await?;
    } else {
        tx.emit(&PriceSettled { trip }).await?;
    }
    Ok(())
}

/// The customers agree to whatever is asked, every third of them when the time for an answer is over; and one of them tries to, whether or
/// not there is a question.
pub(crate) async fn answer(world: World, saga: Saga) -> Result<(), BoxError> {
    let (entry, now) = (world.entry("trip", &ANSWER), world.db("trip").clock().now());
    let mut sagas = vec![saga.id];
    for question in entry.open_questions(100).await? {
        let is_late = is_every(6, &question.event.decode::<PriceAsked>()?.trip);
        if !is_late || question.asked_at + ANSWER_WITHIN <= now {
            sagas.push(question.saga);
        }
    }
    for saga in sagas {
        match entry.answer(saga, "a customer").await {
            Ok(tx) => agree(tx).await?,
            Err(Error::NotAsked { .. } | Error::Answered { .. } | Error::Expired { .. } | Error::Decided { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn agree(mut tx: Tx) -> Result<(), BoxError> {
    let asked = tx.question().map(Envelope::decode::<PriceAsked>).transpose()?.ok_or("nothing was asked")?;
    tx.emit(&PriceSettled { trip: asked.trip.clone() }).await?;
    Ok(tx.commit().await?)
}
