//! `pavane migrations`: the SQL of the framework's tables, for a tool of one's own that runs migrations.

use std::{fmt, str::FromStr};

use anyhow::ensure;
use clap::Args;
use pavane_inbox::INBOX;
use pavane_outbox::{
    Dialect,
    migration::{OUTBOX, Schema},
};
use serde::Serialize;

use crate::output::{Exit, Output};

/// In the order in which a service brings them up to date.
const SCHEMAS: [(&str, &Schema); 2] = [("outbox", &OUTBOX), ("inbox", &INBOX)];

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// For SQLite instead of PostgreSQL.
    #[arg(long)]
    sqlite: bool,
    /// Leave out what was run before: this migration and those of its schema before it. Once for each schema.
    #[arg(long, value_name = "SCHEMA-NUMBER")]
    after: Vec<Name>,
}

/// What a migration is called: its schema and its number there, `outbox-1`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    schema: String,
    version: i64,
}

#[derive(Debug, Serialize)]
struct Migration {
    #[serde(serialize_with = "as_text")]
    name: Name,
    description: String,
    sql: String,
}

#[derive(Debug, Serialize)]
struct Answer {
    pavane: &'static str,
    database: &'static str,
    migrations: Vec<Migration>,
    /// The last of each schema.
    #[serde(skip)]
    newest: Vec<Name>,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> anyhow::Result<Exit> {
    let (dialect, database) =
        if arguments.sqlite { (Dialect::Sqlite, "SQLite") } else { (Dialect::Postgres, "PostgreSQL") };
    let (mut migrations, mut newest) = (Vec::new(), Vec::new());
    for (schema, known) in SCHEMAS {
        let exported = known.exported(dialect).into_iter().map(|exported| Migration {
            name: Name { schema: schema.to_owned(), version: exported.version },
            description: exported.description,
            sql: exported.sql,
        });
        let exported: Vec<_> = exported.collect();
        newest.extend(exported.last().map(|last| last.name.clone()));
        migrations.extend(exported);
    }
    for after in &arguments.after {
        let names: Vec<_> = migrations.iter().map(|migration| migration.name.to_string()).collect();
        ensure!(
            names.contains(&after.to_string()),
            "there is no migration {after} to come after: {}",
            names.join(", ")
        );
    }
    migrations.retain(|Migration { name, .. }| {
        !arguments.after.iter().any(|after| after.schema == name.schema && after.version >= name.version)
    });
    output.answer(&Answer { pavane: env!("CARGO_PKG_VERSION"), database, migrations, newest })?;
    Ok(Exit::Fine)
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once('-').and_then(|(schema, version)| Some((schema, version.parse().ok()?)));
        let (schema, version) =
            parts.ok_or("a migration is called by its schema and its number, outbox-1 for example")?;
        Ok(Self { schema: schema.to_owned(), version })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.schema, self.version)
    }
}

fn as_text<S: serde::Serializer>(name: &Name, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pavane, database, migrations, newest } = self;
        writeln!(f, "-- Pavane's tables on {database}, as version {pavane} needs them. Run this as one transaction.")?;
        writeln!(f, "-- It records what ran as a service does, which then finds nothing to do when it starts.")?;
        let after: Vec<_> = newest.iter().map(|name| format!(" --after {name}")).collect();
        writeln!(f, "-- What a later version adds: pavane migrations{}", after.concat())?;
        if migrations.is_empty() {
            writeln!(f, "\n-- There is nothing new.")?;
        }
        for Migration { name, description, sql } in migrations {
            writeln!(f, "\n-- migration {name}: {description}\n\n{}", sql.trim_end())?;
        }
        Ok(())
    }
}
