//! Questions to people: asked by an event, and answered once, at an entry point.

pub(crate) mod store;

use std::sync::Arc;

use pavane_contract::{Cause, EventRef, RawEnvelope, SagaId, Timestamp};

use crate::{Database, Db, Emissions, Error, Guest, Tx, Values, emissions::Asked, store::NewRow};

/// A question that may still be answered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OpenQuestion {
    /// The saga that asks.
    pub saga: SagaId,
    /// The event that asks.
    pub event: RawEnvelope,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When the time for an answer is over. `None`: it ends with the saga.
    pub expires_at: Option<Timestamp>,
}

impl<DB: Database> Db<DB> {
    /// Begins the transaction that answers a saga's question, at the entry point that `emissions` is of. `by` is kept: it names the
    /// person.
    ///
    /// The question is locked until the transaction ends. Of two answers at once, the second waits, and gets
    /// [`Error::Answered`] if the first one commits. With the commit the question is answered, and its timer is cancelled.
    ///
    /// # Errors
    ///
    /// [`Error::NotAsked`], [`Error::Answered`], [`Error::Expired`], [`Error::Decided`] and [`Error::Forgotten`], by what became of
    /// the question; [`Error::AnswersNothing`]; and as [`begin`](Self::begin).
    pub async fn answer(&self, saga: SagaId, by: &str, emissions: Emissions) -> Result<Tx<DB>, Error> {
        // The event that asked replaces this cause once it is found: `Tx::answer`.
        let cause = Cause::new(saga, self.reference_now());
        let mut tx = Tx::begin(self.clone(), cause, emissions.clone()).await?;
        let question = take(self, tx.conn(), (saga, by), &emissions).await?;
        tx.answer(question);
        Ok(tx)
    }

    /// As [`answer`](Self::answer), in a transaction of yours. PostgreSQL only.
    ///
    /// # Errors
    ///
    /// As [`answer`](Self::answer) and [`guest`](Self::guest). In a transaction that is repeatable read or serializable, to come second is a
    /// serialization failure (40001).
    pub async fn answering_guest<'c>(
        &self,
        conn: &'c mut DB::Connection,
        (saga, by): (SagaId, &str),
        emissions: Emissions,
    ) -> Result<Guest<'c, DB>, Error> {
        self.check_guest(conn)?;
        let question = take(self, conn, (saga, by), &emissions).await?;
        Ok(Guest { conn, db: self.clone(), cause: question.as_cause(), emissions, question: Some(question) })
    }

    /// The questions that may be answered at the entry point that `emissions` is of, the oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::AnswersNothing`], and when the database fails.
    pub async fn open_questions(&self, emissions: &Emissions, limit: u32) -> Result<Vec<OpenQuestion>, Error> {
        let asked = answered_at(emissions)?;
        self.within(store::open(self, asked, limit)).await
    }
}

/// The question that an entry point answers.
fn answered_at(emissions: &Emissions) -> Result<&Asked, Error> {
    emissions.answers().map(AsRef::as_ref).ok_or_else(|| Error::AnswersNothing(emissions.who().to_owned()))
}

/// Refuses `begin` at an entry point that answers a question: it names neither the question's saga nor the person who answers.
pub(crate) fn check_begins(emissions: &Emissions) -> Result<(), Error> {
    let Some(asked) = emissions.answers() else { return Ok(()) };
    Err(Error::Answers { who: emissions.who().to_owned(), question: asked.question.asks.clone() })
}

/// Locks a saga's question, marks it as answered and cancels its timer. Returns the event that asked.
async fn take<DB: Database>(
    db: &Db<DB>,
    conn: &mut DB::Connection,
    (saga, by): (SagaId, &str),
    emissions: &Emissions,
) -> Result<RawEnvelope, Error> {
    let asked = answered_at(emissions)?;
    let question = || asked.question.asks.clone();
    let Some(kept) = store::lock(db, conn, saga, &asked.entry).await? else {
        if let Some(started) = saga.time() {
            // Not asked, or pruned with all that is known of the saga.
            db.check_remembered(conn, &Cause::new(saga, started)).await?;
        }
        return Err(Error::NotAsked { who: emissions.who().to_owned(), question: question(), saga });
    };
    if let Some((by, at)) = kept.answered {
        return Err(Error::Answered { question: question(), saga, by, at, with: kept.answer });
    }
    db.check_remembered(conn, &kept.event.as_cause()).await?;
    let asked_at = kept.asked_at;
    close(db, conn, (saga, asked_at), asked).await?;
    store::answer(db, conn, (saga, &asked.entry), by).await?;
    Ok(kept.event)
}

/// Cancels the timer of a question. Fails where the wait for an answer is over.
async fn close<DB: Database>(
    db: &Db<DB>,
    conn: &mut DB::Connection,
    (saga, asked_at): (SagaId, i64),
    asked: &Asked,
) -> Result<(), Error> {
    if let Some(expiry) = asked.expiry()
        && store::cancel(db, conn, saga, expiry).await?
    {
        return Ok(());
    }
    // An outcome cancels the timer. Without a timer it closes the question, unless it came before.
    let question = asked.question.asks.clone();
    if let Some(outcome) = store::outcome(db, conn, saga, asked_at).await? {
        return Err(Error::Decided { question, saga, outcome });
    }
    let Some(expiry) = asked.question.expires_with.clone() else { return Ok(()) };
    Err(Error::Expired { question, saga, expiry })
}

/// A question that a transaction asks.
#[derive(Debug)]
pub(crate) struct NewQuestion {
    pub(crate) saga: SagaId,
    pub(crate) asked: Arc<Asked>,
    pub(crate) row: NewRow,
    /// The reaction or entry point that asks.
    who: String,
}

impl NewQuestion {
    /// The question that an event asks; `None` where it asks none.
    pub(crate) fn of(event: &RawEnvelope, emissions: &Emissions) -> Result<Option<Self>, Error> {
        let Some(asked) = emissions.asks(&event.meta.event) else { return Ok(None) };
        let (saga, who) = (event.meta.cause.saga, emissions.who().to_owned());
        Ok(Some(Self { saga, asked: Arc::clone(asked), row: NewRow::of(event)?, who }))
    }

    /// Fails where one of these asks the same.
    pub(crate) fn check_first(&self, others: &[Self]) -> Result<(), Error> {
        let same = |other: &Self| other.saga == self.saga && other.asked.entry == self.asked.entry;
        if others.iter().any(same) { Err(self.asked_twice()) } else { Ok(()) }
    }

    pub(crate) fn asked_twice(&self) -> Error {
        Error::AskedTwice { who: self.who.clone(), question: self.asked.question.asks.clone(), saga: self.saga }
    }

    fn never_expires(&self, expiry: &EventRef) -> Error {
        let question = self.asked.question.asks.clone();
        Error::NeverExpires { who: self.who.clone(), question, saga: self.saga, expiry: expiry.clone() }
    }

    /// Questions by their columns: those of the [row](NewRow::columns), then saga, entry point and the timer's event, empty where there
    /// is none.
    fn columns(questions: &[Self]) -> Vec<Values> {
        let mut columns = NewRow::columns(questions.iter().map(|question| &question.row));
        columns.push(Values::Ids(questions.iter().map(|question| question.saga.as_uuid()).collect()));
        columns.push(Values::Texts(questions.iter().map(|question| question.asked.entry.clone()).collect()));
        let expiries = questions.iter().map(|question| question.asked.expiry().unwrap_or_default().to_owned());
        columns.push(Values::Texts(expiries.collect()));
        columns
    }
}

/// Writes questions, after the timers of their transaction. `false` when there are none.
///
/// Until the commit nobody can answer them.
pub(crate) async fn ask<DB: Database>(
    db: &Db<DB>,
    conn: &mut DB::Connection,
    questions: &[NewQuestion],
) -> Result<bool, Error> {
    if questions.is_empty() {
        return Ok(false);
    }
    let written = store::ask(db, conn, questions).await?;
    let Some(missing) = questions.iter().find(|question| !written.contains(&question.row.event_id)) else {
        return Ok(true);
    };
    if store::lock(db, conn, missing.saga, &missing.asked.entry).await?.is_some() {
        return Err(missing.asked_twice());
    }
    Err(missing.asked.question.expires_with.as_ref().map_or(Error::Ended, |expiry| missing.never_expires(expiry)))
}
