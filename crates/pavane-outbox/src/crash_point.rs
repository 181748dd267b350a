use std::{fmt::Debug, future::Future, pin::Pin};

/// A moment at which a crash leaves something half done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CrashPoint {
    /// Everything is written, nothing committed. The transaction is open.
    BeforeCommit,
    /// The transaction is committed; its caller doesn't know yet.
    AfterCommit,
    /// The relay has read a batch of rows; nothing of it is published yet.
    BeforePublish,
    /// The relay has published a batch; its rows aren't marked yet.
    AfterPublish,
    /// The relay has marked the rows of a batch.
    AfterMark,
    /// A step with an effect is entered into the ledger as running; the effect isn't called yet.
    BeforeCall,
    /// The effect has answered; the answer isn't recorded yet.
    AfterCall,
    /// What became of an event is known; the broker isn't told yet.
    BeforeAck,
    /// The broker was told what became of an event.
    AfterAck,
}

impl CrashPoint {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::BeforePublish,
        Self::AfterPublish,
        Self::AfterMark,
        Self::BeforeCall,
        Self::AfterCall,
        Self::BeforeAck,
        Self::AfterAck,
    ];
}

/// What a test or a simulation does at crash points. Production has none.
pub trait CrashPoints: Debug + Send + Sync + 'static {
    /// A process reached a crash point. It goes on when the future completes, at once or later. Where it never completes, the
    /// process has crashed there, and its future is dropped.
    fn reach(&self, point: CrashPoint) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
