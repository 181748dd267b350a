use std::{str::FromStr, time::Duration};

use url::Url;

/// What the service needs to know beyond Pavane's own [`Config`](pavane::Config).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Where the payment provider answers, over TLS or not. Default `http://127.0.0.1:4010`.
    pub psp_url: String,
    /// How long to wait for an answer of the provider before asking again. Default 3 s.
    pub psp_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { psp_url: "http://127.0.0.1:4010".to_owned(), psp_timeout: Duration::from_secs(3) }
    }
}

impl Settings {
    /// The defaults, changed by the environment:
    ///
    /// | variable | meaning | default |
    /// |---|---|---|
    /// | `PSP_URL` | the payment provider, `https://host` or `http://host:port` | `http://127.0.0.1:4010` |
    /// | `PSP_TIMEOUT_MS` | milliseconds to wait for its answer | 3000 |
    ///
    /// # Errors
    ///
    /// When a variable can't be used.
    pub fn from_env() -> anyhow::Result<Self> {
        let mut settings = Self::default();
        if let Some(url) = var(PSP_URL) {
            settings.psp_url = url;
        }
        if let Some(timeout) = var(PSP_TIMEOUT_MS) {
            let millis = u64::from_str(&timeout).map_err(|_| bad_timeout(&timeout))?;
            settings.psp_timeout = Duration::from_millis(millis);
        }
        settings.checked_url()?;
        Ok(settings)
    }

    /// The provider's URL, once the settings are known to be usable.
    pub(crate) fn checked_url(&self) -> Result<Url, Error> {
        // Within the time that one attempt of a reaction may take (60 s): the client never waits longer than is left of that.
        if self.psp_timeout.is_zero() || self.psp_timeout > Duration::from_secs(50) {
            return Err(bad_timeout(&self.psp_timeout.as_millis().to_string()));
        }
        let url = Url::parse(&self.psp_url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let why = "use https://host, or http://host:port";
        url.ok_or_else(|| Error { setting: PSP_URL, value: self.psp_url.clone(), why })
    }
}

/// A setting that can't be used. Reads after "failed to start the service: ".
#[derive(Debug, thiserror::Error)]
#[error("{setting} = {value:?} can't be used: {why}")]
pub(crate) struct Error {
    setting: &'static str,
    value: String,
    why: &'static str,
}

const PSP_URL: &str = "PSP_URL";
const PSP_TIMEOUT_MS: &str = "PSP_TIMEOUT_MS";

fn bad_timeout(value: &str) -> Error {
    Error { setting: PSP_TIMEOUT_MS, value: value.to_owned(), why: "use 1 to 50000 milliseconds, for example 3000" }
}

fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let settings =
            |url: &str, millis| Settings { psp_url: url.to_owned(), psp_timeout: Duration::from_millis(millis) };
        for (settings, expected) in [
            (Settings::default(), None),
            (settings("http://psp:4010", 50_000), None),
            (settings("https://psp", 3000), None),
            (settings("ftp://psp", 3000), Some(PSP_URL)),
            (settings("psp:4010", 3000), Some(PSP_URL)),
            (settings("", 3000), Some(PSP_URL)),
            (settings("http://psp", 0), Some(PSP_TIMEOUT_MS)),
            (settings("http://psp", 50_001), Some(PSP_TIMEOUT_MS)),
        ] {
            let refused = settings.checked_url().err().map(|error| error.setting);
            assert_eq!(refused, expected, "{settings:?}");
        }
    }
}
