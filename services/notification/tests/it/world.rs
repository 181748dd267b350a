use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use contracts::OrderId;
use notification::{Mailer, Notification, Settings, service};
use pavane_contract::RawEnvelope;
use pavane_testkit::{FreshDatabase, Instances};
use sqlx::Row as _;
use tempfile::TempDir;

/// The notification service, and where its mail goes.
pub(crate) struct World {
    pub(crate) notification: Instances<Notification>,
    folder: TempDir,
}

impl World {
    /// Mail goes to a server, or into a maildir.
    pub(crate) async fn start(smtp_url: Option<String>) -> Result<Self> {
        let folder = TempDir::new()?;
        let mut settings = Settings::default();
        (settings.smtp_url, settings.maildir) = (smtp_url, folder.path().join("maildir"));
        settings.smtp_timeout = Duration::from_secs(2);
        let start = move || service(Notification::new(Mailer::new(&settings).expect("a mailer")));
        Ok(Self { notification: Instances::one(&FreshDatabase::sqlite(), start).await, folder })
    }

    /// Publishes events at once.
    pub(crate) fn publish(&self, events: impl IntoIterator<Item = RawEnvelope>) {
        self.notification.deliver_all(&events.into_iter().collect::<Vec<_>>());
    }

    /// Publishes events at once, and waits until they are handled.
    pub(crate) async fn handle(&self, events: impl IntoIterator<Item = RawEnvelope>) {
        self.publish(events);
        self.notification.settle().await;
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
        let rows = sqlx::query(sql).bind(order.to_string()).fetch_all(self.notification.db().readers()).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// How many attempts were counted against events.
    pub(crate) async fn attempts(&self) -> i64 {
        self.notification.count("select cast(coalesce(sum(attempts), 0) as bigint) from pavane_attempt").await
    }

    pub(crate) fn dead_letters(&self) -> usize {
        self.notification.dead_letters().len()
    }
}
