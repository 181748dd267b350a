//! A service whose one binary runs on PostgreSQL or on a SQLite file, as its URL says: `sqlx::Any`.
//!
//! It has the types that both databases have: integers, floating-point numbers, booleans, text and bytes.

crate::database::names!(sqlx::Any);
