//! A limit to what waits in the outbox: while the broker is away, the database must not fill up.

use std::time::Duration;

use tracing::{info, warn};

use crate::{Database, Db, Error, metric, store};

/// How full the outbox is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Full {
    why: String,
}

impl<DB: Database> Db<DB> {
    /// Measures whether more waits in the outbox than the [`Bounds`](crate::Bounds) allow. A running service calls it every
    /// second. Each instance measures for itself, because the one whose relay publishes may be gone.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn measure_outbox(&self) -> Result<(), Error> {
        let bounds = self.bounds();
        let (rows, oldest) = self.within(store::waiting(self, bounds.outbox_rows)).await?;
        let oldest = Duration::from_micros(oldest.max(0).unsigned_abs());
        let why = if rows >= i64::from(bounds.outbox_rows) {
            Some(format!("{} events or more wait to be published, the limit of outbox_rows", bounds.outbox_rows))
        } else if oldest >= bounds.outbox_age {
            Some(format!("an event has waited {oldest:.0?} to be published; outbox_age allows {:?}", bounds.outbox_age))
        } else {
            None
        };
        let full = metrics::gauge!(metric::OUTBOX_FULL, "service" => self.service().to_owned());
        full.set(if why.is_some() { 1.0 } else { 0.0 });
        let before = self.set_full(why.clone().map(|why| Full { why }));
        match (before, why) {
            (None, Some(why)) => warn!(service = self.service(), why, "the outbox is full: no more is taken in"),
            (Some(_), None) => info!(service = self.service(), "the outbox has room again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        Ok(())
    }

    /// Fails when the outbox was full at the last [measure](Self::measure_outbox). Does no I/O.
    ///
    /// # Errors
    ///
    /// [`Error::OutboxFull`], which says what waits.
    pub fn check_room(&self) -> Result<(), Error> {
        self.full().map_or(Ok(()), |full| Err(Error::OutboxFull { why: full.why }))
    }
}
