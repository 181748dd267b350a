use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use contracts::OrderId;
use notification::{Mailer, NAME, Notification, Settings, service};
use pavane::{Config, any::Db, database::Config as DbConfig};
use pavane_bus::{Bus as _, Memory, Outgoing, topology::DEAD_LETTERS};
use pavane_contract::SystemClock;
use sqlx::Row as _;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const REACTIONS: [&str; 2] = ["send-confirmation", "send-cancellation"];

/// The notification service on SQLite and a bus in memory.
pub(crate) struct World {
    pub(crate) db: Db,
    bus: Memory,
    folder: TempDir,
    _stop: DropGuard,
}

impl World {
    /// Mail goes to a server, or into a maildir.
    pub(crate) async fn start(smtp_url: Option<String>) -> Result<Self> {
        let folder = TempDir::new()?;
        let url = format!("sqlite:{}", folder.path().join("notification.db").display());
        let mut settings = Settings::default();
        (settings.smtp_url, settings.maildir) = (smtp_url, folder.path().join("maildir"));
        settings.smtp_timeout = Duration::from_secs(2);
        let bus = Memory::new(Arc::new(SystemClock));
        let db = Db::open(DbConfig::new(NAME, &url)).await?;
        let notification = Notification::new(Mailer::new(&settings)?);
        let config = Config::new("nats://not-used");
        let app = service(notification).connect_to(db.clone(), bus.clone(), config).await?;
        let stop = CancellationToken::new();
        tokio::spawn(app.run_until(stop.clone().cancelled_owned()));
        Ok(Self { db, bus, folder, _stop: stop.drop_guard() })
    }

    pub(crate) async fn publish(&self, events: impl IntoIterator<Item = Outgoing>) -> Result<()> {
        for receipt in self.bus.publish(events.into_iter().collect()).await {
            assert!(!receipt?.duplicate, "the stream must not hide duplicates from the service");
        }
        Ok(())
    }

    /// Waits until every event is handled.
    pub(crate) async fn idle(&self) -> Result<()> {
        eventually("everything handled", async || {
            let pending = REACTIONS.iter().filter_map(|name| self.bus.pending(&format!("{NAME}_{name}")));
            let busy = pending.map(|pending| pending.unsettled + pending.undelivered).sum::<usize>();
            Ok((busy == 0 && pavane_inbox::dead_letter::waiting(&self.db).await? == 0).then_some(()))
        })
        .await
    }

    /// Publishes events, and waits until they are handled.
    pub(crate) async fn handle(&self, events: impl IntoIterator<Item = Outgoing>) -> Result<()> {
        self.publish(events).await?;
        self.idle().await
    }

    pub(crate) fn maildir(&self) -> PathBuf {
        self.folder.path().join("maildir")
    }

    /// The mails in the maildir.
    pub(crate) fn mails(&self) -> Result<Vec<(PathBuf, String)>> {
        let mut mails = Vec::new();
        for entry in std::fs::read_dir(self.maildir().join("new"))? {
            let path = entry?.path();
            mails.push((path.clone(), std::fs::read_to_string(path)?));
        }
        Ok(mails)
    }

    /// The kinds of the mails that the service remembers of an order, oldest first.
    pub(crate) async fn remembered(&self, order: OrderId) -> Result<Vec<String>> {
        let sql = "select kind from sent_mail where order_id = $1 order by sent_at";
        let rows = sqlx::query(sql).bind(order.to_string()).fetch_all(self.db.readers()).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// How many attempts were counted against events.
    pub(crate) async fn attempts(&self) -> Result<i64> {
        let sql = "select coalesce(sum(attempts), 0) from pavane_attempt";
        Ok(sqlx::query(sql).fetch_one(self.db.readers()).await?.try_get(0)?)
    }

    pub(crate) fn dead_letters(&self) -> usize {
        self.bus.messages(DEAD_LETTERS).len()
    }
}

/// Looks again and again until there is something, or too much time has passed.
pub(crate) async fn eventually<T, F: Future<Output = Result<Option<T>>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("waited {PATIENCE:?} in vain for {what}");
        }
        sleep(Duration::from_millis(5)).await;
    }
}
