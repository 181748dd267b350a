/// Why an observer failed. Each reads after "failed to …: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bus can't be reached, or forbids it.
    #[error(transparent)]
    Bus(#[from] pavane_bus::Error),
    /// An action needs a name and a reason.
    #[error("a decision needs a name and a reason")]
    Unaccountable,
    /// The decision could not be stored, so nothing was done.
    #[error("the decision was not kept, so nothing was done: {0}")]
    NotKept(String),
    /// There is no such dead letter (any more).
    #[error("there is no dead letter {0}")]
    NoDeadLetter(u64),
    /// The redrive could not be published.
    #[error("the event was not published again: {0}")]
    NotRedriven(String),
}
