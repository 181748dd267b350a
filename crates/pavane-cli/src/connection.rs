//! Where the deployment is, and how to get in.

use std::fmt;

use clap::Args;
use pavane_bus::jetstream;

/// Where the deployment is. The variables are those that services read, and they are read in the same place.
#[derive(Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// The NATS server; several, separated by commas, for a cluster. Without it, the one on this machine.
    #[arg(long, global = true, value_name = "URL", env = "NATS_URL", hide_env_values = true)]
    nats_url: Option<String>,
    /// The user there.
    #[arg(long, global = true, value_name = "USER", env = "NATS_USER")]
    nats_user: Option<String>,
    /// The user's password.
    #[arg(long, global = true, value_name = "PASSWORD", env = "NATS_PASSWORD", hide_env_values = true)]
    nats_password: Option<String>,
    /// A token, in place of user and password.
    #[arg(long, global = true, value_name = "TOKEN", env = "NATS_TOKEN", hide_env_values = true)]
    nats_token: Option<String>,
    /// A file with a token.
    #[arg(long, global = true, value_name = "FILE", env = "NATS_TOKEN_FILE")]
    nats_token_file: Option<String>,
    /// A file with the seed of an nkey.
    #[arg(long, global = true, value_name = "FILE", env = "NATS_NKEY")]
    nats_nkey: Option<String>,
    /// A credentials file.
    #[arg(long, global = true, value_name = "FILE", env = "NATS_CREDENTIALS")]
    nats_credentials: Option<String>,
    /// Whether to refuse to talk without TLS: yes or no.
    #[arg(long, global = true, value_name = "YES", env = "NATS_REQUIRE_TLS")]
    nats_require_tls: Option<String>,
    /// A PEM file with the authorities that may have signed the server's certificate.
    #[arg(long, global = true, value_name = "FILE", env = "NATS_CA")]
    nats_ca: Option<String>,
    /// A PEM file with the client's certificate.
    #[arg(long, global = true, value_name = "FILE", env = "NATS_CERT")]
    nats_cert: Option<String>,
    /// A PEM file with the certificate's key.
    #[arg(long, global = true, value_name = "FILE", env = "NATS_KEY")]
    nats_key: Option<String>,
    /// The JetStream domain that the streams are in.
    #[arg(long, global = true, value_name = "DOMAIN", env = "NATS_JS_DOMAIN")]
    nats_js_domain: Option<String>,
    /// What JetStream's API begins with, where the account imports it.
    #[arg(long, global = true, value_name = "PREFIX", env = "NATS_JS_API_PREFIX")]
    nats_js_api_prefix: Option<String>,
    /// The namespace of the deployment, where several share an account.
    #[arg(long, global = true, value_name = "NAME", env = "PAVANE_NAMESPACE")]
    namespace: Option<String>,
    /// How many seconds to wait for the server.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 5)]
    pub(crate) patience: u64,
}

impl Connection {
    /// What it says, as for a service of this name.
    pub(crate) fn config(&self, name: &str) -> Result<jetstream::Config, pavane_bus::Error> {
        jetstream::Config::from_vars(name, |variable| self.given(variable).cloned())
    }

    fn given(&self, variable: &str) -> Option<&String> {
        let given = match variable {
            "NATS_URL" => &self.nats_url,
            "NATS_USER" => &self.nats_user,
            "NATS_PASSWORD" => &self.nats_password,
            "NATS_TOKEN" => &self.nats_token,
            "NATS_TOKEN_FILE" => &self.nats_token_file,
            "NATS_NKEY" => &self.nats_nkey,
            "NATS_CREDENTIALS" => &self.nats_credentials,
            "NATS_REQUIRE_TLS" => &self.nats_require_tls,
            "NATS_CA" => &self.nats_ca,
            "NATS_CERT" => &self.nats_cert,
            "NATS_KEY" => &self.nats_key,
            "NATS_JS_DOMAIN" => &self.nats_js_domain,
            "NATS_JS_API_PREFIX" => &self.nats_js_api_prefix,
            "PAVANE_NAMESPACE" => &self.namespace,
            // `PAVANE_VERIFY_ONLY` is for services: what an operator says to do is done.
            _ => return None,
        };
        given.as_ref()
    }
}

/// Without what is secret.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("nats_user", &self.nats_user).finish_non_exhaustive()
    }
}
