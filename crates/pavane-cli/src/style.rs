//! Colours and weights of what is written to a terminal. [`Output`](crate::output::Output) takes them out where nobody
//! would see them, and where `NO_COLOR` is set.

use std::fmt;

use anstyle::{AnsiColor, Effects, Style};
use pavane_observe::State;

pub(crate) const STRONG: Style = Style::new().effects(Effects::BOLD);
pub(crate) const FAINT: Style = Style::new().effects(Effects::DIMMED);
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);
pub(crate) const CAREFUL: Style = AnsiColor::Yellow.on_default();

/// A value in a style.
pub(crate) struct Styled<T>(pub(crate) Style, pub(crate) T);

impl<T: fmt::Display> fmt::Display for Styled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(style, value) = self;
        write!(f, "{style}{value}{style:#}")
    }
}

/// A saga's state in its colour.
pub(crate) fn state(state: State) -> Styled<&'static str> {
    let style = match state {
        State::Stuck | State::NeedsReview => BAD,
        State::Completed => GOOD,
        State::Compensating => CAREFUL,
        State::Compensated | State::Resolved => FAINT,
        State::InProgress | _ => STRONG,
    };
    Styled(style, state.as_str())
}
