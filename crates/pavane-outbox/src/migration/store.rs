//! The SQL around a migration that the user's tool runs.

use std::fmt::Write as _;

use sqlx::migrate::Migration;

use crate::{Dialect, Statement};

/// A migration's script and the row that records that it ran; before the first one, the table of these rows. Both equal the
/// migrator's, which compares the checksums when a service starts.
pub(super) fn exported(table: &str, migration: &Migration, dialect: Dialect) -> String {
    const COLUMNS: Statement = Statement {
        postgres: "version bigint primary key, description text not null, installed_on timestamptz not null default now(), \
                   success boolean not null, checksum bytea not null, execution_time bigint not null",
        sqlite: "version bigint primary key, description text not null, \
                 installed_on timestamp not null default current_timestamp, success boolean not null, checksum blob not null, \
                 execution_time bigint not null",
    };
    let Migration { version, description, sql, checksum, .. } = migration;
    let mut script = String::new();
    if *version == 1 {
        script = format!("create table {table} ({});\n\n", COLUMNS.on(dialect));
    }
    let sql = sql.as_str().trim_end();
    script.push_str(sql);
    if !sql.ends_with(';') {
        // On a line of its own: a comment at the script's end would hide it.
        script.push_str("\n;");
    }
    let digits = checksum.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a string can't fail.
        let _infallible = write!(digits, "{byte:02x}");
        digits
    });
    let checksum = match dialect {
        Dialect::Postgres => format!("'\\x{digits}'"),
        Dialect::Sqlite => format!("x'{digits}'"),
    };
    script
        + &format!(
            "\n\ninsert into {table} (version, description, success, checksum, execution_time)\n    \
             values ({version}, '{description}', true, {checksum}, 0);\n"
        )
}
