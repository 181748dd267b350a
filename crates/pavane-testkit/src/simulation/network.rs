use std::{future::Future, sync::Arc};

use super::chaos::Chaos;

/// The network between a service and what it calls. In a simulation requests and answers get lost on it, and are late.
///
/// A provider in a test is what stands at its other end: something that does each request once, by its idempotency key.
#[derive(Debug, Clone, Default)]
pub struct Network(Option<Arc<Chaos>>);

/// No answer came. Whether the request was done is not known. Reads after "failed to …: ".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no answer came")]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct NoAnswer;

impl Network {
    /// A network on which nothing gets lost, for tests that need one.
    pub const fn reliable() -> Self {
        Self(None)
    }

    pub(super) const fn of(chaos: Arc<Chaos>) -> Self {
        Self(Some(chaos))
    }

    /// Sends a request, and returns the answer. `request` is what happens at the other end.
    ///
    /// # Errors
    ///
    /// When no answer comes: the request may have been done.
    pub async fn call<T>(&self, request: impl Future<Output = T> + Send) -> Result<T, NoAnswer> {
        let Some(chaos) = &self.0 else { return Ok(request.await) };
        if chaos.strikes(chaos.plan.faults.lost_request) {
            chaos.note(None, || "the request gets lost".to_owned());
            return Err(NoAnswer);
        }
        chaos.standstill(|| "while the request is on its way".to_owned()).await;
        let answer = request.await;
        chaos.standstill(|| "while the answer is on its way".to_owned()).await;
        if chaos.strikes(chaos.plan.faults.lost_answer) {
            chaos.note(None, || "the answer gets lost".to_owned());
            return Err(NoAnswer);
        }
        Ok(answer)
    }
}
