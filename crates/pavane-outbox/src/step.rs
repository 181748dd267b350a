//! An entry point that is a step: the event that it emits is kept for its undo.
//!
//! The ledger's table is the inbox's. It is there: an undo is a reaction.

mod store;

use pavane_choreography::ledger::State;
use pavane_contract::{EventRef, RawEnvelope};

use crate::{Database, Db, Emissions, Error};

/// What an entry point keeps for its undo.
#[derive(Debug)]
pub(crate) struct Step {
    /// The entry point's name, and the step's.
    pub(crate) name: String,
    pub(crate) keeps: EventRef,
}

/// Keeps an event for the undo of the entry point that emits it. Does nothing where none is kept.
///
/// The row is written in the transaction that emits. An undo that comes meanwhile waits for that transaction, and then undoes; one that
/// came before has barred the step, and the transaction fails.
pub(crate) async fn keep<DB: Database>(
    db: &Db<DB>,
    conn: &mut DB::Connection,
    emissions: &Emissions,
    event: &RawEnvelope,
) -> Result<(), Error> {
    let Some(step) = emissions.step().filter(|step| step.keeps == event.meta.event) else { return Ok(()) };
    db.check_remembered(conn, &event.meta.cause).await?;
    if store::insert(db, conn, &step.name, event).await? {
        return Ok(());
    }
    let saga = event.meta.cause.saga;
    let (who, event) = (emissions.who().to_owned(), event.meta.event.clone());
    Err(match store::state(db, conn, &step.name, saga).await? {
        Some(State::Barred) => Error::Barred { who, event, saga },
        Some(State::Done | State::Undone | State::Running | State::Gathering) | None => {
            Error::StepTwice { who, event, saga }
        }
    })
}
