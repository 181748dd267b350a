//! A service on a SQLite file: one process on one machine.

crate::database::names!(sqlx::Sqlite);
