//! The runtime's rules, as the model follows them. Tests put broken ones in their place, to see them found out.

use super::footprint::{Access, Place};
use crate::ledger::{self, Forward, Join, State, Undo};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) forward: fn(Option<State>) -> Forward,
    pub(crate) join: fn(Option<State>, bool) -> Join,
    pub(crate) undo: fn(Option<State>) -> Undo,
    pub(crate) settle: fn(bool) -> State,
    /// A service decides a saga once.
    pub(crate) one_outcome: bool,
    /// A question that has expired can't be answered.
    pub(crate) expires: bool,
    /// The inbox knows what was handled.
    pub(crate) inbox: bool,
    /// What the reduction forgets of footprints.
    pub(crate) forgets: fn(Place, Access) -> bool,
}

impl Rules {
    /// What the runtime does.
    pub(crate) const RUNTIME: Self = Self {
        forward: ledger::forward,
        join: ledger::join,
        undo: ledger::undo,
        settle: ledger::settle,
        one_outcome: true,
        expires: true,
        inbox: true,
        forgets: |_, _| false,
    };
}
