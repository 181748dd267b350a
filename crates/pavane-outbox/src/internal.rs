//! What the inbox, the relay and the test kit need of a transaction and a database, and a service does not.
//!
//! Not a part of the public interface: it changes without notice.

use pavane_contract::{Cause, EventRef, Key, RawEnvelope};

use sqlx::Pool;

pub use crate::crash_point::{CrashPoint, CrashPoints};
use crate::{Backlog, Config, Database, Db, Emissions, Error, Tx, store};

/// As [`Db::open`], on connections that are open: a test kit's connections have a clock of its own.
///
/// # Errors
///
/// When this database can't open the URL of the configuration.
pub fn over<DB: Database>(pool: Pool<DB>, config: Config) -> Result<Db<DB>, Error> {
    Db::over(pool, config)
}

/// Continues with another event of the batch: its cause, its emissions, and an empty list of emitted events. What was emitted
/// before stays in the transaction.
pub fn enter<DB: Database>(tx: &mut Tx<DB>, cause: Cause, emissions: Emissions) {
    tx.enter(cause, emissions);
}

/// What was emitted since [`enter`], outcomes included, scheduled events not.
pub fn emitted<DB: Database>(tx: &Tx<DB>) -> &[RawEnvelope] {
    tx.emitted()
}

/// Emits an event that is declared as the failure event of a reaction.
///
/// # Errors
///
/// As [`Tx::emit`].
pub async fn emit_raw<DB: Database>(tx: &mut Tx<DB>, event: EventRef, key: Key, body: Vec<u8>) -> Result<(), Error> {
    tx.emit_raw(event, key, body).await
}

/// Fails unless the transaction can be committed.
///
/// # Errors
///
/// [`Error::Aborted`] and [`Error::Ended`]; and when the database fails.
pub async fn prove<DB: Database>(tx: &mut Tx<DB>) -> Result<(), Error> {
    tx.prove().await
}

/// A moment at which a crash leaves something half done. Does nothing in production.
pub async fn crash_point<DB: Database>(db: &Db<DB>, point: CrashPoint) {
    db.crash_point(point).await;
}

/// Counts what waits in the outbox.
///
/// # Errors
///
/// When the database fails.
pub async fn backlog<DB: Database>(db: &Db<DB>) -> Result<Backlog, Error> {
    db.within(async { store::backlog::<DB>(&mut *db.reader().await?).await }).await
}
