use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_nats::{Client, ConnectErrorKind, ConnectOptions};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    address::{Addresses, redacted},
    api::API_PREFIX,
    link::Link,
    login::Login,
    names::Names,
    tls,
};
use crate::Error;

/// The client notices a dead connection after about three pings.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Longest pause between two attempts to reconnect.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(1);
const RECONNECT_DELAY_MIN: Duration = Duration::from_millis(20);
/// Pause between two attempts at the first connection.
const CONNECT_RETRY: Duration = Duration::from_millis(250);

/// How to reach the server, and the settings of the account there.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// `nats://host:port`, `tls://host:port` or `nats://user:password@host:port`; several, separated by commas, for a cluster.
    /// It is only shown without user and password.
    pub url: String,
    /// Names the connection in the server's monitoring, and its inbox `_INBOX_<service>`, which answers are sent to.
    pub service: String,
    /// How to log in, unless the URL has the credentials.
    pub login: Option<Login>,
    /// Whether to refuse a server without TLS. Default no; a URL `tls://`, an authority or a certificate mean yes.
    pub require_tls: bool,
    /// A PEM file with the authorities that may have signed the server's certificate. Default: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate and its key, in PEM files, for a server that asks for one.
    pub certificate_files: Option<(PathBuf, PathBuf)>,
    /// The JetStream domain of the streams, where that isn't the server's own: behind a leaf node, for example.
    pub domain: Option<String>,
    /// The prefix of JetStream's API, where the account imports it from another. Default `$JS.API`.
    pub api_prefix: Option<String>,
    /// Separates systems that share an account: the names of its streams, and every subject, begin with it. Letters, digits and
    /// `-`. All services and tools of a system have the same. Default none.
    pub namespace: Option<String>,
    /// Whether to create and change nothing at the server. Streams and consumers are then only checked; if one is wrong, the
    /// start fails and shows the command that corrects it. Default no.
    pub verify_only: bool,
    /// How long an answer may take. Default 5 seconds.
    pub request_timeout: Duration,
    /// How many publishes may wait for an answer at once. Default 256: more gains little and loses order on failure.
    pub max_in_flight: usize,
    /// How long [`connect`](super::JetStream::connect) tries. Default 10 seconds, for a server that is starting too.
    pub connect_within: Duration,
}

impl Config {
    /// The defaults for a service.
    pub fn new(url: impl Into<String>, service: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            service: service.into(),
            login: None,
            require_tls: false,
            ca_file: None,
            certificate_files: None,
            domain: None,
            api_prefix: None,
            namespace: None,
            verify_only: false,
            request_timeout: Duration::from_secs(5),
            max_in_flight: 256,
            connect_within: Duration::from_secs(10),
        }
    }

    /// The prefix of the subjects that answers and deliveries are sent to. Each service has its own, so that permissions can
    /// keep a service from reading another's.
    pub(super) fn inbox_prefix(&self, names: &Names) -> String {
        names.subject(&format!("_INBOX_{}", self.service)).into_owned()
    }

    /// The prefix of JetStream's API, without the last dot.
    ///
    /// # Errors
    ///
    /// When the domain or the prefix is invalid, or both are set.
    pub(super) fn api(&self) -> Result<String, Error> {
        let refuse = |setting, value: &String, why: &str| {
            Err(Error::Setting { setting, value: format!("{value:?}"), why: why.to_owned() })
        };
        let token = |token: &str| !token.is_empty() && !token.contains(|c: char| c.is_whitespace() || "*>".contains(c));
        match (&self.domain, &self.api_prefix) {
            (Some(domain), Some(_)) => refuse(
                "NATS_JS_DOMAIN",
                domain,
                "NATS_JS_API_PREFIX is set, too, and both say where JetStream is; keep one",
            ),
            (Some(domain), None) if domain.contains('.') || !token(domain) => refuse(
                "NATS_JS_DOMAIN",
                domain,
                "use the name in the server's `jetstream { domain: … }`, for example \"hub\"",
            ),
            (None, Some(prefix)) if !prefix.split('.').all(token) => refuse(
                "NATS_JS_API_PREFIX",
                prefix,
                "use what the account's import maps `$JS.API` to, without a dot at its end, for example \"JS.hub.API\"",
            ),
            (Some(domain), None) => Ok(format!("$JS.{domain}.API")),
            (None, Some(prefix)) => Ok(prefix.clone()),
            (None, None) => Ok(API_PREFIX.to_owned()),
        }
    }

    pub(super) async fn connect(&self, link: &Arc<Link>) -> Result<Client, Error> {
        self.validate()?;
        let addresses = Addresses::parse(&self.url)?;
        let options = self.log_in(&addresses, self.options(link)).await?;
        let options = tls::apply(self, options).await?;
        let deadline = Instant::now() + self.connect_within;
        loop {
            let attempt = timeout_at(deadline, options.clone().connect(&addresses.servers)).await;
            let error = match attempt {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(error)) => error,
                Err(_) => return Err(self.no_server("the attempt timed out")),
            };
            if let Some(refusal) = tls::explain(self, &error) {
                return Err(refusal);
            }
            match error.kind() {
                ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                    return Err(Error::Denied(format!(
                        "{} does not accept the credentials of {:?}: {error}",
                        self.shown(),
                        self.service
                    )));
                }
                ConnectErrorKind::ServerParse | ConnectErrorKind::Tls => {
                    return Err(Error::Other(format!("{:?} can't be connected to: {error}", self.shown())));
                }
                ConnectErrorKind::Dns
                | ConnectErrorKind::TimedOut
                | ConnectErrorKind::Io
                | ConnectErrorKind::MaxReconnects => {}
            }
            if Instant::now() + CONNECT_RETRY >= deadline {
                return Err(self.no_server(&error.to_string()));
            }
            sleep(CONNECT_RETRY).await;
        }
    }

    fn validate(&self) -> Result<(), Error> {
        let token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.service.is_empty() || !self.service.chars().all(token) {
            return Err(Error::Other(format!(
                "service is {:?}, but it names an inbox: use letters, digits, `-` and `_`, for example \"payment\"",
                self.service
            )));
        }
        if self.max_in_flight == 0 {
            return Err(Error::Other(
                "max_in_flight is 0, so nothing could be published; the default is 256".to_owned(),
            ));
        }
        self.check()
    }

    /// Refuses settings that can't be used, or that contradict each other.
    ///
    /// # Errors
    ///
    /// Names the setting, its value and what could be used.
    pub(super) fn check(&self) -> Result<(), Error> {
        Names::new(self.namespace.as_deref())?;
        self.api()?;
        match &self.login {
            Some(login) if Addresses::parse(&self.url)?.has_login() => Err(Error::Setting {
                setting: "NATS_URL",
                value: format!("{:?}", self.shown()),
                why: format!("it has a login, and {} is set, too; keep one of them", login.setting()),
            }),
            _ => Ok(()),
        }
    }

    fn options(&self, link: &Arc<Link>) -> ConnectOptions {
        let record = Arc::clone(link);
        ConnectOptions::new()
            .name(&self.service)
            .custom_inbox_prefix(link.inbox_prefix())
            .ping_interval(PING_INTERVAL)
            .request_timeout(Some(self.request_timeout))
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(move |event| {
                record.record(&event);
                std::future::ready(())
            })
    }

    async fn log_in(&self, addresses: &Addresses, options: ConnectOptions) -> Result<ConnectOptions, Error> {
        match &self.login {
            Some(login) => login.apply(options).await,
            None => Ok(addresses.log_in(options)),
        }
    }

    fn no_server(&self, error: &str) -> Error {
        Error::Unavailable(format!("no NATS server answers at {}; start one or set NATS_URL ({error})", self.shown()))
    }

    /// The servers' addresses, without a password.
    pub(super) fn shown(&self) -> String {
        redacted(&self.url)
    }
}

/// Doubles from 20 ms to a second, with full jitter, so that the services don't reconnect all at once.
fn reconnect_delay(attempts: usize) -> Duration {
    if attempts <= 1 {
        return Duration::ZERO;
    }
    let doublings = u32::try_from(attempts - 2).unwrap_or(u32::MAX).min(16);
    let longest = RECONNECT_DELAY_MIN.saturating_mul(1 << doublings).min(RECONNECT_DELAY_MAX);
    longest.mul_f64(0.5 + 0.5 * jitter())
}

/// Uniform in 0..1. Not from the injected clock: no simulation replays reconnects.
fn jitter() -> f64 {
    use pavane_contract::Clock;
    f64::from(u32::try_from(pavane_contract::SystemClock.random() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &self.shown())
            .field("service", &self.service)
            .field("login", &self.login)
            .field("require_tls", &self.require_tls)
            .field("ca_file", &self.ca_file)
            .field("certificate_files", &self.certificate_files)
            .field("domain", &self.domain)
            .field("api_prefix", &self.api_prefix)
            .field("namespace", &self.namespace)
            .field("verify_only", &self.verify_only)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnect_delays_grow_to_a_second_and_vary() {
        assert_eq!(reconnect_delay(1), Duration::ZERO);
        assert!(reconnect_delay(2) <= RECONNECT_DELAY_MIN);
        for attempts in [10, 100, usize::MAX] {
            let delay = reconnect_delay(attempts);
            assert!(delay >= RECONNECT_DELAY_MAX / 2 && delay <= RECONNECT_DELAY_MAX, "{delay:?}");
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        let mut config = Config::new("nats://payment:secret@x", "payment");
        for login in [Login::User("payment".to_owned(), "secret".to_owned()), Login::Token("secret".to_owned())] {
            config.login = Some(login);
            let printed = format!("{config:?} {config:#?}");
            assert!(printed.contains("nats://x") && !printed.contains("secret"), "{printed}");
        }
        assert!(!config.no_server("no answer").to_string().contains("secret"));
    }
}
