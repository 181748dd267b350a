//! What a command writes, and how it ends.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

use serde::Serialize;

/// How a command ended; its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well: 0.
    Fine,
    /// It found what it looks for, and somebody should care: 1.
    Found,
}

impl Exit {
    /// [`Found`](Self::Found) when there is something to care about.
    pub(crate) const fn found(found: bool) -> Self {
        if found { Self::Found } else { Self::Fine }
    }
}

/// The one place that writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the answer is for a program.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Whether a person looks at the answer as it comes.
    pub(crate) fn is_terminal(self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// Writes an answer, as text or as JSON.
    pub(crate) fn answer(self, answer: &(impl Serialize + fmt::Display)) -> anyhow::Result<()> {
        let text = if self.json { serde_json::to_string_pretty(answer)? } else { answer.to_string() };
        written(writeln!(anstream::stdout().lock(), "{}", text.trim_end()))
    }

    /// Writes an answer on a line of its own: one of many.
    pub(crate) fn line(answer: &impl Serialize) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        written(writeln!(out, "{}", serde_json::to_string(answer)?).and_then(|()| out.flush()))
    }

    /// Says on one line why there is no answer.
    pub(crate) fn error(self, error: &anyhow::Error) {
        let error = format!("{error:#}").replace('\n', " ");
        let line =
            if self.json { serde_json::json!({ "error": error }).to_string() } else { format!("pavane: {error}") };
        // Nobody is left to tell when even this can't be written.
        drop(writeln!(anstream::stderr().lock(), "{line}"));
    }
}

/// A reader that has seen enough (`pavane … | head`) is no error.
fn written(result: io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
