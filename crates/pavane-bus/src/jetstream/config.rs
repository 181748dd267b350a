use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_nats::{Client, ConnectErrorKind, ConnectOptions};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    address::{Addresses, redacted},
    link::Link,
};
use crate::Error;

/// The client notices a dead connection after about three of these.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Longest pause between two attempts to connect again.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(1);
const RECONNECT_DELAY_MIN: Duration = Duration::from_millis(20);
/// Pause between two attempts at the first connection.
const CONNECT_RETRY: Duration = Duration::from_millis(250);

/// How to reach the server.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// `nats://host:port` or `nats://user:password@host:port`; several, separated by commas, for a cluster. It is only ever shown
    /// without user and password.
    pub url: String,
    /// Names the connection in the server's monitoring, and the inbox `_INBOX_<service>` that its answers come on.
    pub service: String,
    /// User and password.
    pub user: Option<(String, String)>,
    /// A credentials file (user JWT and seed).
    pub credentials_file: Option<PathBuf>,
    /// How long an answer may take. Default 5 seconds.
    pub request_timeout: Duration,
    /// How many publishes may be without an answer at once. Default 256: more gains little and loses order on failure.
    pub max_in_flight: usize,
    /// How long [`connect`](super::JetStream::connect) tries. Default 10 seconds, for a server that starts beside us.
    pub connect_within: Duration,
}

impl Config {
    /// The defaults for a service.
    pub fn new(url: impl Into<String>, service: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            service: service.into(),
            user: None,
            credentials_file: None,
            request_timeout: Duration::from_secs(5),
            max_in_flight: 256,
            connect_within: Duration::from_secs(10),
        }
    }

    /// The prefix of the subjects that answers and deliveries come on. Its own for each service, so that permissions can
    /// keep one service from reading another's.
    pub(super) fn inbox_prefix(&self) -> String {
        format!("_INBOX_{}", self.service)
    }

    pub(super) async fn connect(&self, link: &Arc<Link>) -> Result<Client, Error> {
        self.validate()?;
        let addresses = Addresses::parse(&self.url)?;
        // What the configuration says on its own goes before what is in the address.
        let options = self.log_in(addresses.log_in(self.options(link))).await?;
        let deadline = Instant::now() + self.connect_within;
        loop {
            let attempt = timeout_at(deadline, options.clone().connect(&addresses.servers)).await;
            let error = match attempt {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(error)) => error,
                Err(_) => return Err(self.no_server("the attempt timed out")),
            };
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
        Ok(())
    }

    fn options(&self, link: &Arc<Link>) -> ConnectOptions {
        let link = Arc::clone(link);
        ConnectOptions::new()
            .name(&self.service)
            .custom_inbox_prefix(self.inbox_prefix())
            .ping_interval(PING_INTERVAL)
            .request_timeout(Some(self.request_timeout))
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(move |event| {
                link.record(&event);
                std::future::ready(())
            })
    }

    async fn log_in(&self, options: ConnectOptions) -> Result<ConnectOptions, Error> {
        let options = match &self.user {
            Some((user, password)) => options.user_and_password(user.clone(), password.clone()),
            None => options,
        };
        match &self.credentials_file {
            Some(file) => options
                .credentials_file(file)
                .await
                .map_err(|error| Error::Other(format!("the credentials file {} is unusable: {error}", file.display()))),
            None => Ok(options),
        }
    }

    fn no_server(&self, error: &str) -> Error {
        Error::Unavailable(format!("no NATS server answers at {}; start one or set NATS_URL ({error})", self.shown()))
    }

    /// Where the servers are, without a password that the URL may have.
    pub(super) fn shown(&self) -> String {
        redacted(&self.url)
    }
}

/// Doubles from 20 ms to a second; all of it is jittered, so that the services don't come back in step.
fn reconnect_delay(attempts: usize) -> Duration {
    if attempts <= 1 {
        return Duration::ZERO;
    }
    let doublings = u32::try_from(attempts - 2).unwrap_or(u32::MAX).min(16);
    let longest = RECONNECT_DELAY_MIN.saturating_mul(1 << doublings).min(RECONNECT_DELAY_MAX);
    longest.mul_f64(0.5 + 0.5 * jitter())
}

/// Uniform in 0..1. The moment of a reconnect is no value that a simulation could want to replay.
fn jitter() -> f64 {
    use pavane_contract::Clock;
    f64::from(u32::try_from(pavane_contract::SystemClock.random() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &self.shown())
            .field("service", &self.service)
            .field("user", &self.user.as_ref().map(|(user, _)| user))
            .field("credentials_file", &self.credentials_file)
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
        config.user = Some(("payment".to_owned(), "secret".to_owned()));
        assert!(!format!("{config:?}").contains("secret"));
        assert!(!config.no_server("no answer").to_string().contains("secret"));
    }
}
