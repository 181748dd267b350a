//! What whoever runs the monitor can set.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Where a link to a trace has the trace's id.
const TRACE: &str = "{trace}";
/// A shorter token could be guessed.
const TOKEN_MIN: usize = 16;

/// How the monitor is set up.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Settings {
    /// Who has it may act. `None` for nobody.
    pub token: Option<Token>,
    /// Where a trace is shown, with `{trace}` in place of its id. `None` for no links.
    pub trace_url: Option<String>,
}

/// Why a setting can't be used. Each reads after "failed to …: ".
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A token that could be guessed.
    #[error("MONITOR_TOKEN has {0} characters; use {TOKEN_MIN} or more, for example from `openssl rand -hex 16`")]
    Token(usize),
    /// A link that would be the same for every trace, or none.
    #[error("TRACE_URL is {0:?}; use a URL with {TRACE} in it, such as http://127.0.0.1:16686/trace/{TRACE}")]
    TraceUrl(String),
}

impl Settings {
    /// The settings that the environment has.
    ///
    /// # Errors
    ///
    /// When one can't be used; the message names it.
    pub fn from_env() -> Result<Self, Error> {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let token = var("MONITOR_TOKEN").map(|token| Token::new(&token)).transpose()?;
        let settings = Self { token, ..Self::default() };
        match var("TRACE_URL") {
            Some(url) => settings.linking_traces_to(url),
            None => Ok(settings),
        }
    }

    /// Who has this token may act.
    #[must_use]
    pub fn with_token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Links traces to where they are shown.
    ///
    /// # Errors
    ///
    /// When the URL isn't one for HTTP, or has no `{trace}`.
    pub fn linking_traces_to(mut self, url: String) -> Result<Self, Error> {
        let is_http = url.starts_with("http://") || url.starts_with("https://");
        if !is_http || !url.contains(TRACE) {
            return Err(Error::TraceUrl(url));
        }
        self.trace_url = Some(url);
        Ok(self)
    }

    /// Where a trace is shown.
    pub(crate) fn link_to(&self, trace: &str) -> Option<String> {
        Some(self.trace_url.as_ref()?.replace(TRACE, trace))
    }
}

/// A secret that lets those who have it act. Only its digest is kept.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// A token of 16 characters or more.
    ///
    /// # Errors
    ///
    /// When it is shorter.
    pub fn new(token: &str) -> Result<Self, Error> {
        let length = token.chars().count();
        if length < TOKEN_MIN { Err(Error::Token(length)) } else { Ok(Self(digest(token))) }
    }

    /// Whether somebody has it, in a time that tells nothing about it: digests are equally long.
    pub(crate) fn is(&self, candidate: &str) -> bool {
        self.0.ct_eq(&digest(candidate)).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_the_token() {
        let token = Token::new("0123456789abcdef").unwrap();
        for (candidate, expected) in
            [("0123456789abcdef", true), ("0123456789abcdeF", false), ("0123456789abcde", false), ("", false)]
        {
            assert_eq!(token.is(candidate), expected, "{candidate:?}");
        }
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn a_token_that_could_be_guessed_is_refused() {
        assert_eq!(Token::new("short").unwrap_err(), Error::Token(5));
    }

    #[test]
    fn a_link_needs_a_place_for_the_trace() {
        let link = |url: &str| Settings::default().linking_traces_to(url.to_owned()).map(|it| it.link_to("4bf9"));
        assert_eq!(link("http://x/trace/{trace}"), Ok(Some("http://x/trace/4bf9".to_owned())));
        for url in ["http://x/", "javascript:alert({trace})", ""] {
            assert_eq!(link(url), Err(Error::TraceUrl(url.to_owned())));
        }
    }
}
