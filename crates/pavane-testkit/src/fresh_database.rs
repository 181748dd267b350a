use std::sync::Arc;

use tempfile::TempDir;

use crate::servers::Postgres;

/// A new, empty database on disk, for a service that opens its own connections to it. Clones are the same database.
#[derive(Debug, Clone)]
pub struct FreshDatabase {
    url: String,
    /// Of a file: it is gone with the last clone.
    _folder: Option<Arc<TempDir>>,
}

impl FreshDatabase {
    /// A SQLite file.
    ///
    /// # Panics
    ///
    /// When there can't be a temporary folder.
    pub fn sqlite() -> Self {
        let folder = TempDir::new().unwrap_or_else(|error| panic!("failed to make a temporary folder: {error}"));
        let url = format!("sqlite:{}", folder.path().join("service.db").display());
        Self { url, _folder: Some(Arc::new(folder)) }
    }

    /// A database on the PostgreSQL server that all tests of this program share.
    ///
    /// # Panics
    ///
    /// When there is no server; the message says how to get one.
    pub async fn postgres() -> Self {
        let server = Postgres::shared().await.unwrap_or_else(|error| panic!("failed to {error}"));
        let url = server.fresh_database().await.unwrap_or_else(|error| panic!("failed to {error}"));
        Self { url, _folder: None }
    }

    /// One of each kind, for a test of what a service must do on either.
    ///
    /// # Panics
    ///
    /// As [`sqlite`](Self::sqlite) and [`postgres`](Self::postgres).
    pub async fn of_each_kind() -> [Self; 2] {
        [Self::sqlite(), Self::postgres().await]
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }
}
