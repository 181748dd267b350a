//! Requests that may be sent again: the `Idempotency-Key` header.
//!
//! See <https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header>. Only an order that was placed
//! is saved under its key; a request that was refused began nothing, and may be sent again with its mistakes mended.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use pavane::{
    Correlation, Timestamp,
    any::{Db, Tx},
    database::Emissions,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use web::{FieldError, Problem};

use crate::store::{self, Saved};

const HEADER: &str = "Idempotency-Key";
const CHARS_MAX: usize = 255;
/// How long answers are kept under their keys.
const KEPT: Duration = Duration::from_hours(24);
/// How often expired keys are deleted.
const FORGET_EVERY: Duration = Duration::from_mins(1);
/// How many at once: each batch holds its locks until it ends.
const KEYS: i64 = 500;

/// The key of a request, and what tells the request from others.
#[derive(Debug)]
pub(crate) struct Key {
    text: String,
    pub(crate) fingerprint: String,
}

impl Key {
    /// The request's key, if it has one.
    pub(crate) fn of(headers: &HeaderMap, body: &Value) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Problem::bad_request(HEADER, "is there more than once"));
        }
        let text = value.to_str().ok().filter(|text| (1..=CHARS_MAX).contains(&text.len()) && !text.contains('\t'));
        let text = text.ok_or_else(|| {
            Problem::bad_request(HEADER, format!("is not a text of 1 to {CHARS_MAX} printable ASCII characters"))
        })?;
        // Serialised again, so that white space and the order of the fields don't matter.
        let fingerprint = format!("{:x}", Sha256::digest(body.to_string()));
        Ok(Some(Self { text: text.to_owned(), fingerprint }))
    }

    /// The answer to an earlier request with this key.
    pub(crate) async fn saved(&self, db: &Db) -> Result<Option<Saved>, Problem> {
        let saved = store::saved(db, &self.text, expired(db.clock().now())).await?;
        match saved {
            Some(saved) if saved.fingerprint != self.fingerprint => {
                let detail = "names another request, sent before with another body; use a new key";
                let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the idempotency key is in use");
                Err(problem.naming(FieldError::new(HEADER, detail)))
            }
            saved => Ok(saved),
        }
    }

    /// Saves the answer with what it tells of; `false` when the key has one.
    pub(crate) async fn save(&self, tx: &mut Tx, saved: &Saved) -> sqlx::Result<bool> {
        let expired = expired(tx.now());
        store::save(tx, &self.text, saved, expired).await
    }
}

/// Deletes expired keys until it is told to stop, so that the table doesn't grow without bound.
pub(crate) async fn forget_regularly(db: Db, stopping: CancellationToken) {
    let mut wait = FORGET_EVERY;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = match forget(&db).await {
            Ok(true) => Duration::ZERO,
            Ok(false) => FORGET_EVERY,
            Err(error) => {
                warn!(%error, "failed to delete expired idempotency keys");
                FORGET_EVERY
            }
        };
    }
}

/// Deletes some expired keys. Returns whether there may be more.
async fn forget(db: &Db) -> Result<bool, pavane::database::Error> {
    let mut tx = db.begin(Correlation::start(), Emissions::nothing("order/forget-keys")).await?;
    let expired = expired(tx.now());
    let forgotten = store::forget_keys(&mut tx, expired, KEYS).await?;
    tx.commit().await?;
    Ok(forgotten >= KEYS.unsigned_abs())
}

/// Keys as old as this are forgotten.
fn expired(now: Timestamp) -> Timestamp {
    now.checked_sub(KEPT).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
