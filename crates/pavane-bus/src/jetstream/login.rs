//! Who a connection says it is.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use async_nats::ConnectOptions;

use crate::Error;

/// How to log in at the server. There is one: a server asks for one.
///
/// Files are read when the connection is made. Nothing secret is ever printed.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Login {
    /// User and password.
    User(String, String),
    /// A token.
    Token(String),
    /// A file that has nothing but a token.
    TokenFile(PathBuf),
    /// A file with the seed of a user's nkey, the line that begins with `SU`: as `nk -gen user` writes it.
    NkeyFile(PathBuf),
    /// A credentials file: a user's JWT and seed, as `nsc generate creds` writes it.
    CredentialsFile(PathBuf),
}

impl Login {
    /// # Errors
    ///
    /// When a file can't be read, or isn't what it should be; the message names it, and nothing that is in it.
    pub(super) async fn apply(&self, options: ConnectOptions) -> Result<ConnectOptions, Error> {
        match self {
            Self::User(user, password) => Ok(options.user_and_password(user.clone(), password.clone())),
            Self::Token(token) => Ok(options.token(token.clone())),
            Self::TokenFile(file) => {
                let token = read(self.setting(), file).await?;
                let token = token.trim();
                if token.is_empty() || token.contains(char::is_whitespace) {
                    let why = "the file must have a token and nothing else";
                    return Err(unusable(self.setting(), file, why));
                }
                Ok(options.token(token.to_owned()))
            }
            Self::NkeyFile(file) => {
                let text = read(self.setting(), file).await?;
                let Some(seed) = text.lines().map(str::trim).find(|line| line.starts_with("SU")) else {
                    let why = "no line of it is the seed of a user (SU…); write one with `nk -gen user`";
                    return Err(unusable(self.setting(), file, why));
                };
                Ok(options.nkey(seed.to_owned()))
            }
            Self::CredentialsFile(file) => {
                let credentials = read(self.setting(), file).await?;
                // The client's own error may quote the file.
                options.credentials(&credentials).map_err(|_| {
                    let why = "it isn't a credentials file, which has a user's JWT and its seed; write one with `nsc generate creds`";
                    unusable("NATS_CREDENTIALS", file, why)
                })
            }
        }
    }

    /// As much of it as may be told.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::User(user, _) => format!("{user:?}"),
            Self::Token(_) => "…".to_owned(),
            Self::TokenFile(file) | Self::NkeyFile(file) | Self::CredentialsFile(file) => quoted(file),
        }
    }

    /// The variable that it comes from.
    pub(super) const fn setting(&self) -> &'static str {
        match self {
            Self::User(..) => "NATS_USER",
            Self::Token(_) => "NATS_TOKEN",
            Self::TokenFile(_) => "NATS_TOKEN_FILE",
            Self::NkeyFile(_) => "NATS_NKEY",
            Self::CredentialsFile(_) => "NATS_CREDENTIALS",
        }
    }
}

/// The text of a file that a setting names.
pub(super) async fn read(setting: &'static str, file: &Path) -> Result<String, Error> {
    let text = tokio::fs::read_to_string(file).await;
    text.map_err(|error| {
        unusable(setting, file, &format!("it can't be read ({error}); name a file that this process may read"))
    })
}

pub(super) fn unusable(setting: &'static str, file: &Path, why: &str) -> Error {
    Error::Setting { setting, value: quoted(file), why: why.to_owned() }
}

fn quoted(file: &Path) -> String {
    format!("{:?}", file.display().to_string())
}

/// Without passwords and tokens.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user, _) => f.debug_tuple("User").field(user).field(&"…").finish(),
            Self::Token(_) => f.write_str("Token(…)"),
            Self::TokenFile(file) => f.debug_tuple("TokenFile").field(file).finish(),
            Self::NkeyFile(file) => f.debug_tuple("NkeyFile").field(file).finish(),
            Self::CredentialsFile(file) => f.debug_tuple("CredentialsFile").field(file).finish(),
        }
    }
}
