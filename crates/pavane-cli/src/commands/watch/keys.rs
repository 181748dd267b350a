//! The keyboard.

use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How soon the thread notices that nothing receives its keys any more.
const POLL: Duration = Duration::from_millis(100);
/// How many keys are buffered.
const TYPED_MAX: usize = 32;

/// What a key means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Up,
    Down,
    /// Draw again: for example, the terminal was resized.
    Other,
}

/// Reads keys on a thread of its own, because reading a terminal blocks. It ends with the token.
pub(super) fn listen() -> (mpsc::Receiver<Key>, CancellationToken) {
    let (typed, keys) = mpsc::channel(TYPED_MAX);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::task::spawn_blocking(move || {
        while !stopped.is_cancelled() {
            // A terminal that is gone can't be listened to; the receiver sees the channel's end and quits.
            let Ok(ready) = event::poll(POLL) else { return };
            if !ready {
                continue;
            }
            let Ok(event) = event::read() else { return };
            if typed.blocking_send(meaning(&event)).is_err() {
                return;
            }
        }
    });
    (keys, stop)
}

fn meaning(event: &Event) -> Key {
    let Event::Key(key) = event else { return Key::Other };
    if key.kind == KeyEventKind::Release {
        return Key::Other;
    }
    let interrupts = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    let is = |codes: &[KeyCode]| codes.contains(&key.code);
    if interrupts || is(&[KeyCode::Char('q'), KeyCode::Esc]) {
        Key::Quit
    } else if is(&[KeyCode::Up, KeyCode::Char('k')]) {
        Key::Up
    } else if is(&[KeyCode::Down, KeyCode::Char('j')]) {
        Key::Down
    } else {
        Key::Other
    }
}
