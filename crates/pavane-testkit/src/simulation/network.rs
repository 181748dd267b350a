use std::{future::Future, sync::Arc};

use super::{Fault, chaos::Chaos};

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
        if self.loses_request() {
            return Err(NoAnswer);
        }
        self.delay("while the request is on its way").await;
        let answer = request.await;
        self.delay("while the answer is on its way").await;
        if self.loses_answer() { Err(NoAnswer) } else { Ok(answer) }
    }

    /// Whether the request that is about to be sent gets lost. For code that can't use [`call`](Self::call): a server in the
    /// same process, for example.
    pub fn loses_request(&self) -> bool {
        self.loses("request", Fault::LostRequest)
    }

    /// Whether the answer that is about to be given gets lost.
    pub fn loses_answer(&self) -> bool {
        self.loses("answer", Fault::LostAnswer)
    }

    fn loses(&self, what: &str, fault: Fault) -> bool {
        let Some(chaos) = &self.0 else { return false };
        let lost = chaos.strikes(fault);
        if lost {
            chaos.note(None, || format!("the {what} gets lost"));
        }
        lost
    }

    async fn delay(&self, when: &str) {
        if let Some(chaos) = &self.0 {
            chaos.standstill(|| when.to_owned()).await;
        }
    }
}
