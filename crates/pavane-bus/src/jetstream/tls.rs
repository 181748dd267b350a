//! TLS: what it is checked against, and what its failures mean.

use std::{error::Error as _, path::Path};

use async_nats::{ConnectError, ConnectOptions, rustls};

use super::{
    Config,
    login::{read, unusable},
};
use crate::Error;

const CA: &str = "NATS_CA";
const CERTIFICATE: &str = "NATS_CERT";
const KEY: &str = "NATS_KEY";
const REQUIRE: &str = "NATS_REQUIRE_TLS";

/// # Errors
///
/// When a file can't be read, or isn't what it should be.
pub(super) async fn apply(config: &Config, mut options: ConnectOptions) -> Result<ConnectOptions, Error> {
    if let Some(file) = &config.ca_file {
        expect(CA, file, "CERTIFICATE-----", "certificate").await?;
        options = options.add_root_certificates(file.clone());
    }
    if let Some((certificate, key)) = &config.certificate_files {
        expect(CERTIFICATE, certificate, "CERTIFICATE-----", "certificate").await?;
        expect(KEY, key, "PRIVATE KEY-----", "private key").await?;
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options.require_tls(is_required(config)))
}

/// A service that names an authority or a certificate expects TLS; without this, somebody between us and the server could talk the client
/// out of it.
fn is_required(config: &Config) -> bool {
    config.require_tls || config.ca_file.is_some() || config.certificate_files.is_some()
}

/// The client takes a file without anything in it for one that is fine.
async fn expect(setting: &'static str, file: &Path, label: &str, what: &str) -> Result<(), Error> {
    if read(setting, file).await?.contains(label) {
        return Ok(());
    }
    Err(unusable(setting, file, &format!("it has no {what} in PEM form")))
}

/// What a failed handshake means. It does not pass by itself, so it is no reason to try again. `None` for another failure.
pub(super) fn explain(config: &Config, error: &ConnectError) -> Option<Error> {
    let cause = cause(error)?;
    let fix = if matches!(cause, rustls::Error::InvalidMessage(_)) {
        format!(
            "the server there doesn't speak TLS: give it a `tls` block, or do without {REQUIRE}, {CA} and {CERTIFICATE}"
        )
    } else if matches!(cause, rustls::Error::InvalidCertificate(_)) {
        format!(
            "set {CA} to the certificate of the authority that signed the server's, and use a name in NATS_URL that the \
             server's certificate has"
        )
    } else if !matches!(cause, rustls::Error::AlertReceived(_)) {
        format!("see that {CA}, {CERTIFICATE} and {KEY} fit the server")
    } else if config.certificate_files.is_none() {
        format!("the server asks for a client certificate: set {CERTIFICATE} and {KEY}")
    } else {
        format!("the server refuses the certificate in {CERTIFICATE}: use one that an authority of the server's signed")
    };
    let why = format!("TLS failed ({cause}); {fix}");
    Some(Error::Setting { setting: "NATS_URL", value: format!("{:?}", config.shown()), why })
}

/// The TLS library's own error, wherever in the chain it is.
fn cause(error: &ConnectError) -> Option<&rustls::Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An I/O error names its inner error's source as its own, and leaves the inner error out.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| inner.downcast_ref()) {
            return Some(found);
        }
        next = error.source();
    }
    None
}
