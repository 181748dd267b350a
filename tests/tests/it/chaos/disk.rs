//! The disk under the tables of PostgreSQL.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use pavane_testkit::servers::{Postgres, PostgresOptions, Tools};
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::preloaded::Preloaded;

pub(super) struct Disk {
    library: Preloaded,
    /// Names the folder whose files can't get longer, while it is there.
    full: PathBuf,
}

impl Disk {
    pub(super) fn new() -> Self {
        let library = Preloaded::compile("full_disk");
        let full = library.file("full");
        Self { library, full }
    }

    /// The environment of a server that uses it.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let environment = self.library.environment("FULL_DISK", &self.full);
        environment.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// No table of this server gets longer. Its log is elsewhere, or it could not go on at all.
    pub(super) fn fill(&self, data: &Path) {
        let new = self.full.with_extension("new");
        fs::write(&new, data.join("base").canonicalize().unwrap().display().to_string()).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(new, &self.full).unwrap();
    }

    pub(super) fn give_room(&self) {
        fs::remove_file(&self.full).unwrap();
    }
}

#[tokio::test]
async fn no_table_gets_longer_on_a_full_disk() {
    let disk = Disk::new();
    let options = PostgresOptions { environment: disk.environment(), ..PostgresOptions::default() };
    let server = Postgres::start_with(&Tools::from_env(), options).await.unwrap();
    let mut conn = PgConnection::connect(&server.fresh_database().await.unwrap()).await.unwrap();
    conn.execute("create table t (n bigint)").await.unwrap();
    let insert = "insert into t select generate_series(1, 10000)";
    disk.fill(&server.data_dir());
    let error = conn.execute(insert).await.unwrap_err();
    let error = error.as_database_error().unwrap();
    assert_eq!(error.code().as_deref(), Some("53100"), "{error}");
    disk.give_room();
    conn.execute(insert).await.unwrap();
}
