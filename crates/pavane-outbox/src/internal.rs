//! What the inbox, the relay and the test kit need of a transaction and of a database, and a service does not.
//!
//! Not a part of the public interface: it changes without notice.

use pavane_contract::{Cause, EventRef, Key, RawEnvelope};

use sqlx::Pool;

pub use crate::crash_point::{CrashPoint, CrashPoints};
use crate::{Backlog, Config, Database, Db, Emissions, Error, Tx, store};

/// As [`Db::open`], on connections that are open already: a test kit tells them what time it is.
///
/// # Errors
///
/// When the URL of the configuration isn't one that this database understands.
pub fn over<DB: Database>(pool: Pool<DB>, config: Config) -> Result<Db<DB>, Error> {
    Db::over(pool, config)
}

/// Goes on in the name of another event of the batch, and forgets what was emitted before (it stays in the transaction).
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

/// Marks a moment at which a process that dies leaves something half done. Does nothing in production.
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
