//! Migrations of the framework's own tables, kept apart from the user's.

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
    /// The table that remembers which of them ran.
    pub table: &'static str,
    /// Description and script of each.
    pub scripts: &'static [(&'static str, Statement)],
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
    pub(crate) async fn apply<DB: Database>(&self, pool: &Pool<DB>, dialect: Dialect) -> Result<(), MigrateError> {
        let migrations = (1..).zip(self.scripts).map(|(version, (description, script))| {
            let sql = script.on(dialect).into_sql_str();
            Migration::new(version, Cow::Borrowed(description), MigrationType::Simple, sql, false)
        });
        let mut migrator = Migrator::with_migrations(migrations.collect());
        migrator.dangerous_set_table_name(self.table);
        DB::migrate(pool, &migrator).await
    }
}
