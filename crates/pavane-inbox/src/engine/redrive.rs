//! Redrives: each names a stored dead letter, and the stored letter is what is handled.
//!
//! A redrive has no event of its own, so the permission to redrive is not one to publish events. The letter's subject says to
//! which reaction it belongs, because only that service may publish there. Its headers, and those of the redrive, are ignored.

use pavane_bus::{
    Bus, Error, Message,
    dead_letter::{Address, DEAD, REDRIVE, header, letter_of},
};
use pavane_contract::codec;
use pavane_outbox::Database;
use tracing::warn;

use super::{Arrived, Engine, Unusable};
use crate::dead_letter;

impl<S: Send + Sync + 'static, DB: Database, B: Bus> Engine<S, DB, B> {
    /// Replaces each redrive by the stored letter that it names. When the bus doesn't answer, that redrive and those after it
    /// stay as they are, to be tried again.
    pub(crate) async fn fetch_letters(&self, batch: &mut [Arrived]) {
        let who = (&*self.wired.service, &*self.wired.name);
        for arrived in batch {
            if let Err(error) = fetch_letter(&self.bus, who, self.wired.reaction.tuning.payload_max, arrived).await {
                warn!(reaction = self.wired.name, %error, "the dead letter to redrive can't be fetched; trying again");
                return;
            }
        }
    }
}

/// Replaces a redrive by its letter. Other deliveries, and a letter that was fetched, stay as they are.
///
/// # Errors
///
/// When the bus doesn't answer.
pub(crate) async fn fetch_letter<B: Bus>(
    bus: &B,
    who: (&str, &str),
    payload_max: usize,
    arrived: &mut Arrived,
) -> Result<(), Error> {
    if !matches!(arrived.event, Err(Unusable::NotFetched)) {
        return Ok(());
    }
    match letter(bus, who, &arrived.delivery.message).await? {
        Ok(letter) => put(letter, payload_max, arrived),
        Err(why) => arrived.event = Err(Unusable::Refused(why)),
    }
    Ok(())
}

/// The dead letter that a redrive names, or why that is none that this reaction may handle.
async fn letter<B: Bus>(
    bus: &B,
    (service, reaction): (&str, &str),
    redrive: &Message,
) -> Result<Result<Message, String>, Error> {
    let sequence = match letter_of(redrive) {
        Ok(sequence) => sequence,
        Err(why) => return Ok(Err(why)),
    };
    let letter = match bus.dead_letter_at(sequence).await {
        Ok(Some(letter)) => letter,
        Ok(None) => return Ok(Err(format!("the dead letter {sequence} is not there (any more)"))),
        // The next attempt would get the same answer.
        Err(Error::Other(why)) => return Ok(Err(format!("the dead letter {sequence} can't be read: {why}"))),
        Err(error) => return Err(error),
    };
    let own = Address::of_letter(&letter.subject).is_some_and(|it| it.service == service && it.reaction == reaction);
    if !own || letter.subject.strip_prefix(DEAD) != redrive.subject.strip_prefix(REDRIVE) {
        return Ok(Err(format!(
            "it came on {:?} and names the dead letter {sequence}, which is on {:?}: a redrive counts only where it is \
             about the letter's own reaction and event",
            redrive.subject, letter.subject
        )));
    }
    if let Some(bytes) = letter.headers.get(header::CUT) {
        return Ok(Err(format!(
            "the dead letter {sequence} lacks its body of {bytes} bytes, which did not fit into it: it is in the events \
             stream and in the table pavane_dead_letter"
        )));
    }
    Ok(Ok(letter))
}

/// From here on the delivery is the letter's event, with the redrive's message id: a decision about it is one about this
/// redrive.
fn put(letter: Message, payload_max: usize, arrived: &mut Arrived) {
    let Some(Address { subject, .. }) = Address::of_letter(&letter.subject) else { return };
    let delivery = &mut arrived.delivery;
    arrived.event =
        codec::decode_on(subject, &letter.headers, letter.payload.clone(), payload_max).map_err(Unusable::Unreadable);
    let mut headers = dead_letter::own_headers(&letter.headers);
    headers.push(dead_letter::MESSAGE_ID, dead_letter::identity(delivery));
    // Where the whole event is stored, for another dead letter made of it.
    let sequence = letter.headers.get(header::SEQUENCE).and_then(|sequence| sequence.parse().ok());
    delivery.sequence = sequence.unwrap_or(delivery.sequence);
    delivery.message = Message { subject: subject.to_owned(), headers, payload: letter.payload };
}
