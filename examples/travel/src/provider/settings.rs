use std::time::Duration;

use anyhow::ensure;

/// Where the provider is, and what can be expected of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Where it answers. Default `http://127.0.0.1:4110`.
    pub url: String,
    /// How long to wait for an answer before asking again. Default 8 s.
    pub timeout: Duration,
    /// How long it knows an idempotency key at least. Default 23 h.
    pub key_life: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let url = "http://127.0.0.1:4110".to_owned();
        Self { url, timeout: Duration::from_secs(8), key_life: Duration::from_hours(23) }
    }
}

impl Settings {
    /// A provider at `url`.
    ///
    /// # Errors
    ///
    /// When it can't be used.
    pub fn at(url: &str) -> anyhow::Result<Self> {
        let parsed = reqwest::Url::parse(url).ok().filter(|url| url.scheme() == "http");
        ensure!(parsed.is_some(), "PROVIDER_URL = {url:?} can't be used: use http://host:port");
        Ok(Self { url: url.trim_end_matches('/').to_owned(), ..Self::default() })
    }

    /// A provider at the URL that the environment variable `PROVIDER_URL` names, by default `http://127.0.0.1:4110`.
    ///
    /// # Errors
    ///
    /// As [`at`](Self::at).
    pub fn from_env() -> anyhow::Result<Self> {
        let url = std::env::var("PROVIDER_URL").ok().filter(|url| !url.is_empty());
        url.map_or_else(|| Ok(Self::default()), |url| Self::at(&url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_work_is_refused() {
        assert_eq!(Settings::at("http://provider:4110/").unwrap().url, "http://provider:4110");
        for url in ["https://provider", "provider:4110", ""] {
            assert!(Settings::at(url).unwrap_err().to_string().contains("PROVIDER_URL"), "{url}");
        }
    }
}
