//! The servers' addresses, apart from the secrets in them: an address is logged and shown in errors, a password never.

use async_nats::ConnectOptions;

use crate::Error;

/// A list of servers without the user, password or token that it came with.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) servers: Vec<String>,
    login: Option<Login>,
}

#[derive(Clone, PartialEq, Eq)]
enum Login {
    User(String, String),
    Token(String),
}

impl Addresses {
    /// Reads `nats://user:password@host:port`; several, separated by commas, for a cluster.
    ///
    /// # Errors
    ///
    /// When two servers are given with different credentials: one connection has one login.
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let mut addresses = Self { servers: Vec::new(), login: None };
        for part in parts(url) {
            let (server, login) = split(&part);
            addresses.servers.push(server);
            match (&addresses.login, login) {
                (Some(one), Some(other)) if *one != other => {
                    return Err(Error::Setting {
                        setting: "NATS_URL",
                        value: format!("{:?}", redacted(url)),
                        why: "its servers are given with different credentials; give them once, by NATS_USER and NATS_PASSWORD \
                              for example"
                            .to_owned(),
                    });
                }
                (_, Some(login)) => addresses.login = Some(login),
                (_, None) => {}
            }
        }
        Ok(addresses)
    }

    pub(super) const fn has_login(&self) -> bool {
        self.login.is_some()
    }

    /// Logs in with the credentials from the URL.
    pub(super) fn log_in(&self, options: ConnectOptions) -> ConnectOptions {
        match self.login.clone() {
            Some(Login::User(user, password)) => options.user_and_password(user, password),
            Some(Login::Token(token)) => options.token(token),
            None => options,
        }
    }
}

/// A list of addresses that may be shown: without user, password and token.
pub(super) fn redacted(url: &str) -> String {
    parts(url).iter().map(|part| split(part).0).collect::<Vec<_>>().join(",")
}

/// Splits a list at its commas, but not within a login: a password may have one.
fn parts(url: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in url.split(',').map(str::trim) {
        match parts.last_mut() {
            Some(last)
                if part.contains('@') && !part.contains("://") && !last.contains('@') && last.contains("://") =>
            {
                *last = format!("{last},{part}");
            }
            _ => parts.push(part.to_owned()),
        }
    }
    parts
}

/// An address without its login, and the login.
fn split(address: &str) -> (String, Option<Login>) {
    let (scheme, rest) = address.split_once("://").map_or(("", address), |(scheme, rest)| (scheme, rest));
    let Some((login, host)) = rest.rsplit_once('@') else { return (address.to_owned(), None) };
    let server = if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") };
    let login = match login.split_once(':') {
        Some((user, password)) => Login::User(decoded(user), decoded(password)),
        None => Login::Token(decoded(login)),
    };
    (server, Some(login))
}

/// Reverses percent-encoding; other text stays.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(user: &str, password: &str) -> Login {
        Login::User(user.to_owned(), password.to_owned())
    }

    #[test]
    fn a_login_is_kept_apart_from_the_servers() {
        for (url, servers, login) in [
            ("nats://h:4222", "nats://h:4222", None),
            ("h1:4222, h2", "h1:4222,h2", None),
            ("nats://u:p@h:4222", "nats://h:4222", Some(user("u", "p"))),
            ("u:p@h", "h", Some(user("u", "p"))),
            ("tls://u:p%40ss@h1,tls://u:p%40ss@h2", "tls://h1,tls://h2", Some(user("u", "p@ss"))),
            ("nats://u:p@ss@h1,nats://h2", "nats://h1,nats://h2", Some(user("u", "p@ss"))),
            ("nats://u:p,ss@h1,nats://h2", "nats://h1,nats://h2", Some(user("u", "p,ss"))),
            ("nats://t0ken@h", "nats://h", Some(Login::Token("t0ken".to_owned()))),
        ] {
            let addresses = Addresses::parse(url).unwrap();
            assert_eq!(addresses.servers.join(","), servers, "{url}");
            assert!(addresses.login == login, "{url}");
            assert_eq!(redacted(url), servers, "{url}");
        }
    }

    #[test]
    fn two_logins_are_refused_without_being_told() {
        let Err(error) = Addresses::parse("nats://u:first-secret@h1,nats://u:second-secret@h2") else {
            panic!("two logins were taken");
        };
        let error = error.to_string();
        assert!(error.contains("NATS_URL = \"nats://h1,nats://h2\"") && !error.contains("secret"), "{error}");
    }
}
