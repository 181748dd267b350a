use std::{fmt, path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};

/// What the service needs to know beyond Pavane's own [`Config`](pavane::Config).
#[derive(Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The mail server, `smtp://host:port` or `smtps://user:password@host`. Default none: mail goes into the maildir.
    pub smtp_url: Option<String>,
    /// How long a mail may take, from connecting to the server's last answer. Default 30 s.
    pub smtp_timeout: Duration,
    /// The folder that mail goes into without a server. Default `./maildir`.
    pub maildir: PathBuf,
    /// Who writes. Default `Pavane shop <shop@example.com>`.
    pub mail_from: String,
}

/// Without the mail server's URL, which may have a password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("maildir", &self.maildir)
            .field("mail_from", &self.mail_from)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            smtp_url: None,
            smtp_timeout: Duration::from_secs(30),
            maildir: "./maildir".into(),
            mail_from: "Pavane shop <shop@example.com>".to_owned(),
        }
    }
}

impl Settings {
    /// The defaults, changed by the environment:
    ///
    /// | variable | meaning | default |
    /// |---|---|---|
    /// | `SMTP_URL` | the mail server | none: the maildir |
    /// | `SMTP_TIMEOUT_MS` | milliseconds that a mail may take | 30000 |
    /// | `MAILDIR` | the folder that mail goes into without one | `./maildir` |
    /// | `MAIL_FROM` | who writes | `Pavane shop <shop@example.com>` |
    ///
    /// # Errors
    ///
    /// When a variable can't be used.
    pub fn from_env() -> anyhow::Result<Self> {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let default = Self::default();
        let smtp_timeout = match var("SMTP_TIMEOUT_MS") {
            Some(millis) => Duration::from_millis(millis.parse().with_context(|| bad_timeout(&millis))?),
            None => default.smtp_timeout,
        };
        Ok(Self {
            smtp_url: var("SMTP_URL"),
            smtp_timeout,
            maildir: var("MAILDIR").map_or(default.maildir, PathBuf::from),
            mail_from: var("MAIL_FROM").unwrap_or(default.mail_from),
        })
    }

    /// Refuses a time-out beyond what one attempt of a reaction may take (60 s): a slow server is an outage, which is waited
    /// out, and not a failure of the event, which is counted.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let millis = self.smtp_timeout.as_millis();
        ensure!((1..=50_000).contains(&millis), bad_timeout(&millis.to_string()));
        Ok(())
    }
}

fn bad_timeout(millis: &str) -> String {
    format!("SMTP_TIMEOUT_MS = {millis:?} can't be used: use 1 to 50000 milliseconds, for example 30000")
}
