//! Migrations of the framework's own tables, kept apart from the user's.

mod store;

use std::borrow::Cow;

use sqlx::{
    Pool, SqlSafeStr as _,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use crate::{Database, Dialect, Statement};

/// One crate's migrations, in order. Version numbers start at 1.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "written out as a constant by each crate with tables")]
pub struct Schema {
    /// The table that records which of them ran.
    pub table: &'static str,
    /// Description and script of each.
    pub scripts: &'static [(&'static str, Statement)],
}

/// A migration as a script for the user's tool.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// Its version, counted from 1.
    pub version: i64,
    /// What it is about.
    pub description: String,
    /// Its statements, to be run in one transaction.
    pub sql: String,
}

/// The tables of the outbox.
pub const OUTBOX: Schema = Schema {
    table: "pavane_outbox_migrations",
    scripts: &[
        (
            "outbox",
            Statement {
                postgres: include_str!("../migrations/postgres/0001_outbox.sql"),
                sqlite: include_str!("../migrations/sqlite/0001_outbox.sql"),
            },
        ),
        (
            "acknowledged",
            Statement {
                postgres: include_str!("../migrations/postgres/0002_acknowledged.sql"),
                sqlite: include_str!("../migrations/sqlite/0002_acknowledged.sql"),
            },
        ),
        (
            "staged",
            Statement {
                postgres: include_str!("../migrations/postgres/0003_staged.sql"),
                sqlite: include_str!("../migrations/sqlite/0003_staged.sql"),
            },
        ),
        (
            "emit",
            Statement {
                postgres: include_str!("../migrations/postgres/0004_emit.sql"),
                sqlite: include_str!("../migrations/sqlite/0004_emit.sql"),
            },
        ),
    ],
};

impl Schema {
    /// The migrations as scripts for the user's tool, in the order in which they are to be run.
    ///
    /// Each also records that it ran, as [`Db::migrate`](crate::Db::migrate) does. A service that starts later has nothing to
    /// migrate, and needs no right to create tables.
    pub fn exported(&self, dialect: Dialect) -> Vec<Exported> {
        let exported = self.migrations(dialect).map(|migration| Exported {
            version: migration.version,
            description: migration.description.clone().into_owned(),
            sql: store::exported(self.table, &migration, dialect),
        });
        exported.collect()
    }

    fn migrations(&self, dialect: Dialect) -> impl Iterator<Item = Migration> {
        (1..).zip(self.scripts).map(move |(version, (description, script))| {
            let sql = script.on(dialect).into_sql_str();
            Migration::new(version, Cow::Borrowed(description), MigrationType::Simple, sql, false)
        })
    }

    pub(crate) async fn apply<DB: Database>(&self, pool: &Pool<DB>, dialect: Dialect) -> Result<(), MigrateError> {
        let mut migrator = Migrator::with_migrations(self.migrations(dialect).collect());
        migrator.dangerous_set_table_name(self.table);
        DB::migrate(pool, &migrator).await
    }
}
