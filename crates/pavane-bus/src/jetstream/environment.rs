//! The environment variables: services, the command line and the monitor all read them here.

use std::{fmt::Debug, path::PathBuf};

use super::{Config, Login};
use crate::Error;

const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

impl Config {
    /// The defaults, overridden by environment variables:
    ///
    /// | variable | meaning | default |
    /// |---|---|---|
    /// | `NATS_URL` | `nats://host:port` or `tls://host:port`; a cluster's servers separated by commas | `nats://127.0.0.1:4222` |
    /// | `NATS_USER`, `NATS_PASSWORD` | log in with user and password | none |
    /// | `NATS_TOKEN` or `NATS_TOKEN_FILE` | log in with a token, or with the one in a file | none |
    /// | `NATS_NKEY` | log in with the nkey whose seed is in this file | none |
    /// | `NATS_CREDENTIALS` | log in with this credentials file | none |
    /// | `NATS_REQUIRE_TLS` | `yes`: never talk without TLS | `no`, but `yes` where one of the next three or a `tls://` is set |
    /// | `NATS_CA` | PEM file with the authorities that may have signed the server's certificate | the system's |
    /// | `NATS_CERT`, `NATS_KEY` | PEM files with the client's certificate and its key | none |
    /// | `NATS_JS_DOMAIN` | the JetStream domain that the streams are in | the server's |
    /// | `NATS_JS_API_PREFIX` | what JetStream's API begins with, where the account imports it | `$JS.API` |
    /// | `PAVANE_NAMESPACE` | keeps systems apart that share an account: letters, digits and `-` | none |
    /// | `PAVANE_VERIFY_ONLY` | `yes`: create and change nothing at the server, only check | `no` |
    ///
    /// An empty variable counts as not set.
    ///
    /// # Errors
    ///
    /// When a variable has a value that can't be used, or two contradict each other; the error names them.
    pub fn from_env(service: impl Into<String>) -> Result<Self, Error> {
        Self::from_vars(service, |name| std::env::var(name).ok())
    }

    /// As [`from_env`](Self::from_env), with other variables: those of a command line, for example.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_vars(service: impl Into<String>, vars: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let var = |name: &str| vars(name).filter(|value| !value.is_empty());
        let path = |name: &str| var(name).map(PathBuf::from);
        let mut config = Self::new(var("NATS_URL").unwrap_or_else(|| DEFAULT_URL.to_owned()), service);
        config.login = login(&var)?;
        config.require_tls = yes("NATS_REQUIRE_TLS", &var)?;
        config.ca_file = path("NATS_CA");
        config.certificate_files = both(("NATS_CERT", path("NATS_CERT")), ("NATS_KEY", path("NATS_KEY")))?;
        config.domain = var("NATS_JS_DOMAIN");
        config.api_prefix = var("NATS_JS_API_PREFIX");
        config.namespace = var("PAVANE_NAMESPACE");
        config.verify_only = yes("PAVANE_VERIFY_ONLY", &var)?;
        config.check()?;
        Ok(config)
    }
}

/// The login, of which there may be one.
fn login(var: &impl Fn(&str) -> Option<String>) -> Result<Option<Login>, Error> {
    let user = both(("NATS_USER", var("NATS_USER")), ("NATS_PASSWORD", var("NATS_PASSWORD")))?;
    let file = |name: &str| var(name).map(PathBuf::from);
    let all = [
        user.map(|(user, password)| Login::User(user, password)),
        var("NATS_TOKEN").map(Login::Token),
        file("NATS_TOKEN_FILE").map(Login::TokenFile),
        file("NATS_NKEY").map(Login::NkeyFile),
        file("NATS_CREDENTIALS").map(Login::CredentialsFile),
    ];
    let mut given = all.into_iter().flatten();
    let (first, second) = (given.next(), given.next());
    match (&first, second) {
        (Some(first), Some(second)) => Err(Error::Setting {
            setting: second.setting(),
            value: second.shown(),
            why: format!("{} is set, too, and a connection has one login; keep one of them", first.setting()),
        }),
        _ => Ok(first),
    }
}

/// Two settings that only make sense together.
fn both<T: Debug>(
    (one, first): (&'static str, Option<T>),
    (other, second): (&'static str, Option<T>),
) -> Result<Option<(T, T)>, Error> {
    let lone = |setting, value: &T, missing: &str| {
        let value = if setting == "NATS_PASSWORD" { "…".to_owned() } else { format!("{value:?}") };
        Err(Error::Setting { setting, value, why: format!("{missing} is not set; set both, or neither") })
    };
    match (first, second) {
        (Some(first), Some(second)) => Ok(Some((first, second))),
        (None, None) => Ok(None),
        (Some(first), None) => lone(one, &first, other),
        (None, Some(second)) => lone(other, &second, one),
    }
}

fn yes(setting: &'static str, var: &impl Fn(&str) -> Option<String>) -> Result<bool, Error> {
    match var(setting).as_deref() {
        None | Some("no") => Ok(false),
        Some("yes") => Ok(true),
        Some(other) => Err(Error::Setting { setting, value: format!("{other:?}"), why: "use yes or no".to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Config, String> {
        let var = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Config::from_vars("order", var).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_set_to_nothing_is_not_set() {
        let config =
            read(&[("NATS_URL", ""), ("NATS_TOKEN", ""), ("NATS_CERT", ""), ("PAVANE_VERIFY_ONLY", "")]).unwrap();
        assert_eq!((config.url.as_str(), config.service.as_str()), (DEFAULT_URL, "order"));
        assert_eq!((config.login, config.certificate_files, config.verify_only), (None, None, false));
    }

    #[test]
    fn each_login_is_read() {
        for (vars, login) in [
            (&[("NATS_USER", "a"), ("NATS_PASSWORD", "b")][..], Login::User("a".to_owned(), "b".to_owned())),
            (&[("NATS_TOKEN", "t")], Login::Token("t".to_owned())),
            (&[("NATS_TOKEN_FILE", "f")], Login::TokenFile("f".into())),
            (&[("NATS_NKEY", "f")], Login::NkeyFile("f".into())),
            (&[("NATS_CREDENTIALS", "f")], Login::CredentialsFile("f".into())),
        ] {
            assert_eq!(read(vars).unwrap().login, Some(login));
        }
    }

    #[test]
    fn the_other_settings_are_read() {
        let config = read(&[
            ("NATS_REQUIRE_TLS", "yes"),
            ("NATS_CA", "ca"),
            ("NATS_CERT", "cert"),
            ("NATS_KEY", "key"),
            ("NATS_JS_DOMAIN", "hub"),
            ("PAVANE_NAMESPACE", "shop"),
            ("PAVANE_VERIFY_ONLY", "yes"),
        ]);
        let config = config.unwrap();
        assert!(config.require_tls && config.verify_only);
        assert_eq!(config.ca_file, Some("ca".into()));
        assert_eq!(config.certificate_files, Some(("cert".into(), "key".into())));
        assert_eq!((config.domain.as_deref(), config.namespace.as_deref()), (Some("hub"), Some("shop")));
        assert_eq!(read(&[("NATS_JS_API_PREFIX", "JS.hub.API")]).unwrap().api().unwrap(), "JS.hub.API");
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_no_secret_is_told() {
        for (vars, expected) in [
            (
                &[("NATS_USER", "a")][..],
                "NATS_USER = \"a\" can't be used: NATS_PASSWORD is not set; set both, or neither",
            ),
            (
                &[("NATS_PASSWORD", "secret")],
                "NATS_PASSWORD = … can't be used: NATS_USER is not set; set both, or neither",
            ),
            (&[("NATS_CERT", "f")], "NATS_CERT = \"f\" can't be used: NATS_KEY is not set; set both, or neither"),
            (&[("NATS_KEY", "f")], "NATS_KEY = \"f\" can't be used: NATS_CERT is not set; set both, or neither"),
            (
                &[("NATS_TOKEN", "secret"), ("NATS_NKEY", "f")],
                "NATS_NKEY = \"f\" can't be used: NATS_TOKEN is set, too, and a connection has one login; keep one of them",
            ),
            (
                &[("NATS_URL", "nats://a:secret@h"), ("NATS_TOKEN", "secret")],
                "NATS_URL = \"nats://h\" can't be used: it has a login, and NATS_TOKEN is set, too; keep one of them",
            ),
            (&[("NATS_REQUIRE_TLS", "1")], "NATS_REQUIRE_TLS = \"1\" can't be used: use yes or no"),
            (
                &[("NATS_JS_DOMAIN", "hub"), ("NATS_JS_API_PREFIX", "x")],
                "NATS_JS_DOMAIN = \"hub\" can't be used: NATS_JS_API_PREFIX is set, too, and both say where JetStream is; keep one",
            ),
        ] {
            assert_eq!(read(vars).unwrap_err(), expected);
        }
        for (setting, value) in [("NATS_JS_DOMAIN", "a.b"), ("NATS_JS_API_PREFIX", "a.>"), ("PAVANE_NAMESPACE", "a.b")]
        {
            let error = read(&[(setting, value)]).unwrap_err();
            assert!(error.starts_with(&format!("{setting} = {value:?} can't be used")), "{error}");
        }
    }
}
