use std::{fs, io, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// Signs certificates for the servers of a test. Nobody trusts it but those who are told to.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

/// What a server or a client proves its name with.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Certificate {
    /// The certificate, as PEM.
    pub certificate: String,
    /// Its private key, as PEM.
    pub key: String,
}

impl Authority {
    /// An authority with a key of its own.
    ///
    /// # Errors
    /// When its certificate can't be written to a temporary folder.
    pub fn new() -> io::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?.pem();
        let authority = Self { issuer: Issuer::new(params, key), folder: TempDir::with_prefix("pavane-authority-")? };
        fs::write(authority.file(), certificate)?;
        Ok(authority)
    }

    /// A PEM file with its own certificate, for those who are to trust it. It is there as long as this value.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Signs for a host: a name, or an address.
    ///
    /// # Errors
    /// When `name` can't be that of a host.
    pub fn sign(&self, name: &str) -> io::Result<Certificate> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let params = CertificateParams::new([name.to_owned()]).map_err(io::Error::other)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?.pem();
        Ok(Certificate { certificate, key: key.serialize_pem() })
    }
}
