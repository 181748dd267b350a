//! Delivers mail: to an SMTP server, or into a maildir where there is none.
//!
//! A retry is the same mail: same bytes, same `Message-ID`, and in a maildir the same file, so that it replaces the first
//! instead of being a second. An SMTP server that took a mail whose answer was lost gets it again; the `Message-ID` is
//! what it, or the customer's mail program, knows it by.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp,
};
use pavane::{HandlerError, Timestamp, any::Call};
use tempfile::NamedTempFile;
use tokio::time::timeout;

use crate::{Settings, domain::Letter};

/// Right of the `@` in a `Message-ID`; the left side is the idempotency key.
const MESSAGE_ID_DOMAIN: &str = "pavane.invalid";
/// Replies about us rather than about the mail (RFC 4954): authentication is wanted, too weak or wrong.
const NOT_LET_IN: [u16; 4] = [530, 534, 535, 538];

const SMTP_URL_HINT: &str = "SMTP_URL can't be used: use smtp://host:port or smtps://user:password@host";

/// Where mail goes.
#[derive(Debug)]
pub struct Mailer {
    from: Mailbox,
    route: Route,
}

#[derive(Debug)]
enum Route {
    Smtp { server: AsyncSmtpTransport<Tokio1Executor>, limit: Duration },
    Maildir(PathBuf),
}

/// What was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) message_id: String,
}

impl Mailer {
    /// Prepares the way that the settings name: creates the maildir where it is wanted; connects with the first mail.
    ///
    /// # Errors
    ///
    /// When a setting can't be used.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        settings.check()?;
        let from = settings.mail_from.parse();
        let from = from.with_context(|| format!("MAIL_FROM = {:?} is not an e-mail address", settings.mail_from))?;
        let route = if let Some(url) = &settings.smtp_url {
            let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url);
            // The URL is not in the message, for it may hold a password.
            Route::Smtp { server: builder.context(SMTP_URL_HINT)?.build(), limit: settings.smtp_timeout }
        } else {
            let folder = settings.maildir.clone();
            create_maildir(&folder).with_context(|| format!("MAILDIR = {} can't be used", folder.display()))?;
            Route::Maildir(folder)
        };
        Ok(Self { from, route })
    }

    /// Delivers a letter; `written` is its date, the same in every retry.
    ///
    /// # Errors
    ///
    /// Unavailable when the server or the disk can't take it now; rejected when nobody ever will.
    pub(crate) async fn deliver(
        &self,
        call: &Call<'_>,
        letter: &Letter,
        written: Timestamp,
    ) -> Result<Sent, HandlerError> {
        let key = call.key();
        let message_id = format!("<{key}@{MESSAGE_ID_DOMAIN}>");
        let to: Address = letter.to.parse().map_err(|error| HandlerError::reject(Error::Address(error)))?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject)
            .date(system_time(written))
            .message_id(Some(message_id.clone()))
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text.clone())
            .map_err(|error| HandlerError::reject(Error::Message(error)))?;
        match &self.route {
            // The mail library limits the time to connect only.
            Route::Smtp { server, limit } => {
                let limit = call.time_left().min(*limit);
                match timeout(limit, server.send(message)).await {
                    Ok(sent) => drop(sent.map_err(failed)?),
                    Err(_) => return Err(HandlerError::unavailable(Error::Slow(limit))),
                }
            }
            Route::Maildir(folder) => {
                let (folder, name) = (folder.clone(), key.to_string());
                let stored = tokio::task::spawn_blocking(move || store(&folder, &name, &message.formatted())).await?;
                stored.map_err(|error| HandlerError::unavailable(Error::Maildir(error)))?;
            }
        }
        Ok(Sent { message_id })
    }
}

/// What is to be done about a server's answer.
fn failed(error: smtp::Error) -> HandlerError {
    let code = error.status().map(u16::from);
    if error.is_permanent() && !code.is_some_and(|code| NOT_LET_IN.contains(&code)) {
        HandlerError::reject(Error::Smtp(error))
    } else if error.is_client() {
        // The server lacks something that this mail or we need: neither an outage nor surely the mail's fault.
        HandlerError::transient(Error::Smtp(error))
    } else {
        HandlerError::unavailable(Error::Smtp(error))
    }
}

/// The three folders of a maildir. See <https://cr.yp.to/proto/maildir.html>.
const TMP: &str = "tmp";
const NEW: &str = "new";
const CUR: &str = "cur";

fn create_maildir(folder: &Path) -> io::Result<()> {
    [TMP, NEW, CUR].iter().try_for_each(|name| fs::create_dir_all(folder.join(name)))
}

/// Written aside, forced to the disk, and moved in at once: a reader sees a whole mail or none.
fn store(folder: &Path, name: &str, mail: &[u8]) -> io::Result<()> {
    let new = folder.join(NEW);
    // A name of its own in tmp, so that two attempts at the same time don't write into each other.
    let mut file = NamedTempFile::new_in(folder.join(TMP))?;
    file.write_all(mail)?;
    file.as_file().sync_all()?;
    file.persist(new.join(name))?;
    File::open(new)?.sync_all()
}

fn system_time(time: Timestamp) -> SystemTime {
    // The mail library counts from the epoch.
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.as_second()).unwrap_or(0))
}

/// Why a mail wasn't delivered. Each reads after "failed to deliver the mail: ".
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the customer's address can't be used")]
    Address(#[source] lettre::address::AddressError),
    #[error("the mail can't be written")]
    Message(#[source] lettre::error::Error),
    #[error("the mail server did not take it within {0:?}")]
    Slow(Duration),
    #[error("the mail server says no")]
    Smtp(#[source] smtp::Error),
    #[error("the maildir can't be written")]
    Maildir(#[source] io::Error),
}
