use std::{env, io, time::Duration};

/// What one client may take from the others at an HTTP server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpLimits {
    /// How long a connection may take until a request's head is complete, and so how long it may be idle. Default 30 s.
    /// Behind a load balancer, more than it keeps idle connections.
    pub header_timeout: Duration,
    /// How long a request may take, from its head to the answer's. A stream that has begun goes on. Default 30 s.
    pub request_timeout: Duration,
    /// Connections that are served at once. Others wait until one ends. Default 1024.
    pub connections_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            connections_max: 1024,
        }
    }
}

impl HttpLimits {
    /// The defaults, changed by the environment:
    ///
    /// | variable | meaning | default |
    /// |---|---|---|
    /// | `HTTP_HEADER_TIMEOUT_MS` | how long a request's head may take, and a connection be idle | 30000 |
    /// | `HTTP_REQUEST_TIMEOUT_MS` | how long a request may take | 30000 |
    /// | `HTTP_CONNECTIONS_MAX` | connections that are served at once | 1024 |
    ///
    /// # Errors
    ///
    /// When a variable can't be used; the message names it and its value.
    pub fn from_env() -> io::Result<Self> {
        Self::from_variables(|name| env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> io::Result<Self> {
        let positive = |name: &str, default: u64| match variable(name).filter(|value| !value.is_empty()) {
            None => Ok(default),
            Some(value) => value.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
                let why = format!("{name} is {value:?}; use a whole number above 0, such as {default}");
                io::Error::new(io::ErrorKind::InvalidInput, why)
            }),
        };
        let connections = positive("HTTP_CONNECTIONS_MAX", 1024)?;
        Ok(Self {
            header_timeout: Duration::from_millis(positive("HTTP_HEADER_TIMEOUT_MS", 30_000)?),
            request_timeout: Duration::from_millis(positive("HTTP_REQUEST_TIMEOUT_MS", 30_000)?),
            connections_max: usize::try_from(connections).unwrap_or(usize::MAX),
        })
    }

    /// With another limit for requests.
    #[must_use]
    pub const fn requests_within(mut self, request_timeout: Duration) -> Self {
        self.request_timeout = request_timeout;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_changes_the_defaults() {
        let limits = HttpLimits::from_variables(|_| None).unwrap();
        assert_eq!(format!("{limits:?}"), format!("{:?}", HttpLimits::default()));
        let limits = HttpLimits::from_variables(|name| (name == "HTTP_CONNECTIONS_MAX").then(|| "7".to_owned()));
        assert_eq!(limits.unwrap().connections_max, 7);
        for name in ["HTTP_CONNECTIONS_MAX", "HTTP_HEADER_TIMEOUT_MS", "HTTP_REQUEST_TIMEOUT_MS"] {
            for value in ["0", "-1", "1s"] {
                let refused = HttpLimits::from_variables(|asked| (asked == name).then(|| value.to_owned()));
                let message = refused.unwrap_err().to_string();
                assert!(message.starts_with(&format!("{name} is {value:?}; use a whole number above 0")), "{message}");
            }
        }
    }
}
