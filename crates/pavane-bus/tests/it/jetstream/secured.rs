//! Logins, and TLS.

use std::path::PathBuf;

use pavane_bus::{
    Bus, Error, JetStream, Topology,
    jetstream::{Config, Login},
};
use pavane_testkit::servers::{Authority, Certificate};
use tempfile::TempDir;

use super::{RealServer, start, start_with};

/// The pair in NATS' documentation.
const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
const NKEY: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
const TOKEN: &str = "a-token-that-nobody-guesses";

/// Certificates and other files.
struct Files {
    authority: Authority,
    folder: TempDir,
}

impl Files {
    /// An authority, and what it has signed for a server and for a client.
    fn new() -> Self {
        let files = Self { authority: Authority::new().unwrap(), folder: TempDir::new().unwrap() };
        files.sign("server", "127.0.0.1");
        files.sign("client", "order");
        files
    }

    fn sign(&self, file: &str, name: &str) {
        let Certificate { certificate, key } = self.authority.sign(name).unwrap();
        self.write(&format!("{file}.pem"), &certificate);
        self.write(&format!("{file}.key"), &key);
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A server that speaks TLS only.
    async fn server(&self, more: &str) -> RealServer {
        let (ca, folder) = (self.authority.file(), self.folder.path().display());
        let (ca, files) =
            (ca.display(), format!("cert_file: \"{folder}/server.pem\", key_file: \"{folder}/server.key\""));
        start_with(&format!("tls {{ {files}, ca_file: \"{ca}\", {more} }}")).await
    }

    fn certificate(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")))
    }
}

/// What a connection says, and whether it works.
async fn connect(server: &RealServer, change: impl FnOnce(&mut Config)) -> Result<(), String> {
    let mut config = server.config();
    change(&mut config);
    let bus = JetStream::connect(config).await.map_err(|error| error.to_string())?;
    bus.provision(&Topology::default()).await.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_nkey_logs_in() {
    let files = Files::new();
    let server = start_with(&format!("authorization {{ users: [ {{ nkey: {NKEY} }} ] }}")).await;
    let seed = files.write("order.nk", &format!("# the seed of order\r\n{SEED}\r\n{NKEY}\r\n"));
    assert_eq!(connect(&server, |config| config.login = Some(Login::NkeyFile(seed))).await, Ok(()));
    let refused = connect(&server, |_| {}).await.unwrap_err();
    assert!(refused.contains("does not accept the credentials"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_logs_in_from_a_file_too() {
    let files = Files::new();
    let server = start_with(&format!("authorization {{ token: \"{TOKEN}\" }}")).await;
    let file = files.write("token", &format!("{TOKEN}\n"));
    for login in [Login::Token(TOKEN.to_owned()), Login::TokenFile(file)] {
        assert_eq!(connect(&server, |config| config.login = Some(login)).await, Ok(()));
    }
    let wrong =
        connect(&server, |config| config.login = Some(Login::Token("wrong-secret".to_owned()))).await.unwrap_err();
    assert!(wrong.contains("does not accept the credentials") && !wrong.contains("wrong-secret"), "{wrong}");
}

/// A file that can't be what it should be is named, with its setting, and nothing of what is in it is told.
#[tokio::test]
async fn a_file_that_is_no_good_is_named_and_not_quoted() {
    let files = Files::new();
    let bad = files.write("bad", "some secret\n");
    let server = start().await;
    let with = |setting: &'static str| {
        let file = bad.clone();
        move |config: &mut Config| match setting {
            "NATS_NKEY" => config.login = Some(Login::NkeyFile(file)),
            "NATS_TOKEN_FILE" => config.login = Some(Login::TokenFile(file)),
            "NATS_CREDENTIALS" => config.login = Some(Login::CredentialsFile(file)),
            "NATS_CA" => config.ca_file = Some(file),
            "NATS_CERT" => config.certificate_files = Some((file.clone(), file)),
            _ => config.ca_file = Some("/no/such/file".into()),
        }
    };
    for setting in ["NATS_NKEY", "NATS_TOKEN_FILE", "NATS_CREDENTIALS", "NATS_CA", "NATS_CERT"] {
        let error = connect(&server, with(setting)).await.unwrap_err();
        let named = format!("{setting} = {:?} can't be used: ", bad.display().to_string());
        assert!(error.starts_with(&named) && !error.contains("some secret"), "{error}");
    }
    let missing = connect(&server, with("")).await.unwrap_err();
    assert!(missing.starts_with("NATS_CA = \"/no/such/file\" can't be used: it can't be read"), "{missing}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_certificate_is_checked_against_our_own_authority() {
    let files = Files::new();
    let server = files.server("").await;
    assert_eq!(connect(&server, |config| config.ca_file = Some(files.authority.file())).await, Ok(()));
    let unknown = connect(&server, |_| {}).await.unwrap_err();
    assert!(unknown.contains("NATS_URL = \"nats://127.0.0.1") && unknown.contains("set NATS_CA"), "{unknown}");
    let other = Files::new();
    let forged = connect(&server, |config| config.ca_file = Some(other.authority.file())).await.unwrap_err();
    assert!(forged.contains("TLS failed (invalid peer certificate"), "{forged}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_host_is_refused() {
    let files = Files::new();
    files.sign("server", "elsewhere.example");
    let server = files.server("").await;
    let error = connect(&server, |config| config.ca_file = Some(files.authority.file())).await.unwrap_err();
    assert!(error.contains("not valid for name") && error.contains("a name in NATS_URL"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let files = Files::new();
    let server = files.server("verify: true").await;
    let shown = |name: &'static str| {
        let (ca, certificate) = (files.authority.file(), files.certificate(name));
        move |config: &mut Config| (config.ca_file, config.certificate_files) = (Some(ca), Some(certificate))
    };
    assert_eq!(connect(&server, shown("client")).await, Ok(()));
    let without = connect(&server, |config| config.ca_file = Some(files.authority.file())).await.unwrap_err();
    assert!(without.contains("set NATS_CERT and NATS_KEY"), "{without}");
    let stranger = Files::new();
    for name in ["client.pem", "client.key"] {
        files.write(&format!("strange-{name}"), &std::fs::read_to_string(stranger.path(name)).unwrap());
    }
    let refused = connect(&server, shown("strange-client")).await.unwrap_err();
    assert!(refused.contains("the server refuses the certificate in NATS_CERT"), "{refused}");
}

/// Neither is a client talked out of TLS by a server, or somebody in between, that offers none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_that_is_required_is_not_done_without() {
    let files = Files::new();
    let server = start().await;
    let (ca, certificate) = (files.authority.file(), files.certificate("client"));
    for error in [
        connect(&server, |config| config.require_tls = true).await,
        connect(&server, |config| config.ca_file = Some(ca)).await,
        connect(&server, |config| config.certificate_files = Some(certificate)).await,
    ] {
        let error = error.unwrap_err();
        assert!(error.contains("doesn't speak TLS") && error.contains("NATS_REQUIRE_TLS"), "{error}");
    }
    let mut config = server.config();
    config.url = config.url.replace("nats://", "tls://");
    let error = JetStream::connect(config).await.unwrap_err();
    assert!(matches!(&error, Error::Setting { setting: "NATS_URL", .. }), "{error}");
}
