//! A batch in one transaction, and the two rules for single events after that failed.

use pavane_bus::Bus;
use pavane_contract::RawEnvelope;
use pavane_outbox::Database;

use super::{Arrived, Engine, Failure};
use crate::store;

impl<S: Send + Sync + 'static, DB: Database, B: Bus> Engine<S, DB, B> {
    /// Handles a whole batch in one transaction. If one event fails, the batch does, and nothing of it is committed. `None` when
    /// the events can't share a transaction.
    pub(super) async fn all_at_once(&self, batch: &[Arrived]) -> Option<Result<(), Failure>> {
        let acceptable = |arrived: &&Arrived| !arrived.is_redriven && self.accepts(arrived).is_some();
        let events: Vec<_> = batch.iter().take_while(acceptable).filter_map(|arrived| self.accepts(arrived)).collect();
        if events.len() < batch.len() { None } else { Some(self.local(&events).await) }
    }

    /// The event, if a handler of its batch committed the transaction itself and so marked it as handled. What it emitted is
    /// lost, and it can't be handled again, so a person has to see it.
    pub(super) async fn marked_without_us<'a>(
        &self,
        arrived: &'a Arrived,
        ended: bool,
    ) -> Result<Option<(&'a RawEnvelope, Failure)>, Failure> {
        let Some(event) = self.accepts(arrived).filter(|_| ended) else { return Ok(None) };
        let marked = self.db.within(store::is_handled(&self.db, &self.wired.name, event.meta.id)).await?;
        Ok(marked.then(|| (event, pavane_outbox::Error::Ended.into())))
    }

    /// Handles one event, and at once again where the database rolled it back in favour of another transaction.
    pub(super) async fn unless_in_conflict(&self, event: &RawEnvelope) -> Result<(), Failure> {
        /// Ten in a row are not chance any more.
        const CONFLICTS: usize = 10;
        let mut handled = Ok(());
        for _ in 0..CONFLICTS {
            handled =
                if self.wired.reaction.has_effect() { self.effect(event).await } else { self.local(&[event]).await };
            if !matches!(&handled, Err(failure) if failure.is_conflict()) {
                break;
            }
        }
        handled
    }
}
