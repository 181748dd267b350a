//! The monitor's settings.

use std::{fmt, fs};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Where a link to a trace has the trace's id.
const TRACE: &str = "{trace}";
/// A shorter token could be guessed.
const TOKEN_MIN: usize = 16;
/// Each person who may act, with a token: `anna:…,ben:…`.
const TOKENS: &str = "MONITOR_TOKENS";
/// The token of those who may only read.
const READ_TOKEN: &str = "MONITOR_READ_TOKEN";
/// Whether everybody who reaches the monitor may read.
const OPEN: &str = "MONITOR_OPEN";
/// The names under which browsers may reach it, beside this machine's own.
const HOSTS: &str = "MONITOR_HOSTS";

/// How the monitor is set up. By default it is closed to everybody, and doesn't start.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Settings {
    /// Who may act and read everything, each with a token of their own.
    pub people: Vec<(String, Token)>,
    /// Its bearer may read.
    pub read_token: Option<Token>,
    /// Everybody may read.
    pub open: bool,
    /// Names under which a browser may ask, beside `localhost`, `127.0.0.1` and `[::1]`.
    pub hosts: Vec<String>,
    /// Where a trace is shown, with `{trace}` in place of its id. `None` for no links.
    pub trace_url: Option<String>,
}

/// Why a setting can't be used. Each reads after "failed to …: ".
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A token that could be guessed.
    #[error("a monitor's token has {0} characters; use {TOKEN_MIN} or more, for example from `openssl rand -hex 16`")]
    Token(usize),
    /// A person without a name or a token.
    #[error(
        "{TOKENS} has an entry without a name or without a token; use name:token, for example anna:0123456789abcdef"
    )]
    Person,
    /// Two people with one name: the audit couldn't tell them apart.
    #[error("{TOKENS} names {0:?} twice; give each person a name")]
    Twice(String),
    /// A file that can't be read.
    #[error("{0} can't be read: {1}")]
    File(String, String),
    /// A value that is neither yes nor no.
    #[error("{OPEN} is {0:?}; use yes or no")]
    Open(String),
    /// Nobody could read anything.
    #[error(
        "nobody may read: set {TOKENS} (anna:…) for those who act, {READ_TOKEN} for those who only look, or {OPEN}=yes where \
         everybody who reaches the monitor may see every saga"
    )]
    Closed,
    /// A link that would be the same for every trace, or none.
    #[error("TRACE_URL is {0:?}; use a URL with {TRACE} in it, such as http://127.0.0.1:16686/trace/{TRACE}")]
    TraceUrl(String),
}

impl Settings {
    /// The settings that the environment has. `MONITOR_TOKENS` and `MONITOR_READ_TOKEN` can be in files, which
    /// `MONITOR_TOKENS_FILE` and `MONITOR_READ_TOKEN_FILE` name.
    ///
    /// # Errors
    ///
    /// When one can't be used; the message names it.
    pub fn from_env() -> Result<Self, Error> {
        let mut settings = Self::default();
        let tokens = secret(TOKENS)?.unwrap_or_default();
        for entry in tokens.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
            let (name, token) = entry.split_once(':').ok_or(Error::Person)?;
            settings = settings.with_person(name.trim(), Token::new(token.trim())?)?;
        }
        settings.read_token = secret(READ_TOKEN)?.map(|token| Token::new(token.trim())).transpose()?;
        settings.open = match var(OPEN).as_deref() {
            None | Some("no") => false,
            Some("yes") => true,
            Some(other) => return Err(Error::Open(other.to_owned())),
        };
        let hosts = var(HOSTS).unwrap_or_default();
        settings.hosts = hosts.split(',').map(|host| host.trim().to_lowercase()).filter(|it| !it.is_empty()).collect();
        match var("TRACE_URL") {
            Some(url) => settings.linking_traces_to(url),
            None => Ok(settings),
        }
    }

    /// Everybody who reaches it may read.
    #[must_use]
    pub const fn opened(mut self) -> Self {
        self.open = true;
        self
    }

    /// The bearer of this token may read.
    #[must_use]
    pub fn with_read_token(mut self, token: Token) -> Self {
        self.read_token = Some(token);
        self
    }

    /// This person may act, and what they decide is kept under their name.
    ///
    /// # Errors
    ///
    /// When the name is empty, or somebody else's.
    pub fn with_person(mut self, name: &str, token: Token) -> Result<Self, Error> {
        if name.is_empty() {
            return Err(Error::Person);
        }
        if self.people.iter().any(|(known, _)| known == name) {
            return Err(Error::Twice(name.to_owned()));
        }
        self.people.push((name.to_owned(), token));
        Ok(self)
    }

    /// Refuses to run a monitor that nobody may read.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let is_closed = !self.open && self.read_token.is_none() && self.people.is_empty();
        if is_closed { Err(Error::Closed) } else { Ok(()) }
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

fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A secret from the environment, or from the file that the environment names.
fn secret(name: &str) -> Result<Option<String>, Error> {
    let file = format!("{name}_FILE");
    match var(&file) {
        Some(path) => fs::read_to_string(path).map(Some).map_err(|error| Error::File(file, error.to_string())),
        None => Ok(var(name)),
    }
}

/// A secret of those who may read or act. Only its digest is kept.
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
    fn a_monitor_that_nobody_may_read_is_refused_and_people_have_names_of_their_own() {
        let token = || Token::new("0123456789abcdef").unwrap();
        assert_eq!(Settings::default().check(), Err(Error::Closed));
        let anna = Settings::default().with_person("anna", token()).unwrap();
        for settings in [Settings::default().opened(), Settings::default().with_read_token(token()), anna.clone()] {
            assert_eq!(settings.check(), Ok(()));
        }
        assert_eq!(anna.with_person("anna", token()).unwrap_err(), Error::Twice("anna".to_owned()));
        assert_eq!(Settings::default().with_person("", token()).unwrap_err(), Error::Person);
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
