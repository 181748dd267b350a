//! Crash points that do as they are told.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use pavane_outbox::internal::{CrashPoint, CrashPoints};

/// How a step stopped at a crash point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// For ever: drop it.
    Crashed,
    /// Until it is polled again.
    Paused,
}

/// Polls a step until it ends, or stops at a crash point.
pub(crate) async fn drive<F: Future + ?Sized>(
    mut step: Pin<&mut F>,
    stopped: impl Fn() -> Option<Stop>,
) -> Result<F::Output, Stop> {
    poll_fn(|context| match step.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        // A step that stopped asked for nothing that would wake it.
        Poll::Pending => stopped().map_or(Poll::Pending, |stop| Poll::Ready(Err(stop))),
    })
    .await
}

/// Pending when polled first, ready when polled again.
pub(crate) async fn until_polled_again() {
    let mut polled = false;
    poll_fn(|_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Stops at one crash point, once.
#[derive(Debug, Default)]
pub(crate) struct Script(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    reached: Vec<CrashPoint>,
    /// Where to stop: at the n-th time, counted from 1, that the point is reached.
    stop: Option<(CrashPoint, usize, Stop)>,
    stopped: Option<Stop>,
}

impl Script {
    /// Forgets what was reached before, and stops as told from now on.
    pub(crate) fn begin(&self, stop: Option<(CrashPoint, usize, Stop)>) {
        *self.lines() = Lines { reached: Vec::new(), stop, stopped: None };
    }

    /// The crash points reached since it began, in order.
    pub(crate) fn reached(&self) -> Vec<CrashPoint> {
        self.lines().reached.clone()
    }

    /// How the step that is under way stopped, if it did. Tells it once.
    pub(crate) fn take_stopped(&self) -> Option<Stop> {
        self.lines().stopped.take()
    }

    /// Whether what it was told to stop was stopped.
    pub(crate) fn is_over(&self) -> bool {
        self.lines().stop.is_none()
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, point: CrashPoint) -> Option<Stop> {
        let mut lines = self.lines();
        lines.reached.push(point);
        let (at, nth, stop) = lines.stop?;
        let times = lines.reached.iter().filter(|reached| **reached == at).count();
        if point != at || times != nth {
            return None;
        }
        (lines.stop, lines.stopped) = (None, Some(stop));
        Some(stop)
    }
}

impl CrashPoints for Script {
    fn reach(&self, point: CrashPoint) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            match self.note(point) {
                None => {}
                Some(Stop::Paused) => until_polled_again().await,
                Some(Stop::Crashed) => std::future::pending().await,
            }
        })
    }
}

/// A crash point as it is said.
pub(crate) const fn phrase(point: CrashPoint) -> &'static str {
    match point {
        CrashPoint::BeforeCommit => "before the commit",
        CrashPoint::AfterCommit => "after the commit",
        CrashPoint::BeforePublish => "before the publish",
        CrashPoint::AfterPublish => "after the publish",
        CrashPoint::AfterMark => "after the mark",
        CrashPoint::BeforeCall => "before the call",
        CrashPoint::AfterCall => "after the call",
        CrashPoint::BeforeAck => "before the ack",
        CrashPoint::AfterAck => "after the ack",
        _ => "at another point",
    }
}
