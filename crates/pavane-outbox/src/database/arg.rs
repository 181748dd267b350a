//! Values for placeholders, single ones and sets.

use bytes::Bytes;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use sqlx::{Arguments as _, Encode, Type, error::BoxDynError};
use uuid::Uuid;

/// The value of a placeholder, or of several.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_enums, reason = "what the framework's own statements need")]
pub enum Arg {
    /// `text`; a single UUID is passed as text and cast.
    Text(String),
    /// `bigint`; a time is passed as microseconds since the Unix epoch.
    Int(i64),
    /// `bytea` or `blob`.
    Bytes(Vec<u8>),
    /// A set, in one placeholder: an array on PostgreSQL, for `any ($1::uuid[])`; JSON on SQLite, for `json_each($1)`.
    Set(Values),
    /// A set of rows by their columns, which have equal lengths. On PostgreSQL each column is an array in a placeholder of its
    /// own, for `unnest($1::uuid[], $2::text[])`. On SQLite the rows are one JSON text, for `json_each($1)`, where `value ->>
    /// 0` is the first column.
    Rows(Vec<Values>),
}

/// The values of a set, all of one type.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_enums, reason = "what the framework's own statements need")]
pub enum Values {
    /// `uuid` on PostgreSQL, text on SQLite.
    Ids(Vec<Uuid>),
    /// `bigint`.
    Ints(Vec<i64>),
    /// `text`.
    Texts(Vec<String>),
    /// `bytea` on PostgreSQL; hexadecimal digits on SQLite, for `unhex`.
    Bytes(Vec<Bytes>),
}

impl From<i64> for Arg {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<Vec<u8>> for Arg {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Values> for Arg {
    fn from(values: Values) -> Self {
        Self::Set(values)
    }
}

/// A set, which each driver encodes in its own way.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) enum Set {
    Values(Values),
    Rows(Vec<Values>),
}

/// All arguments of a statement, for a driver. `add` encodes the sets.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn encode<DB: sqlx::Database>(
    conn: &DB::Connection,
    args: Vec<Arg>,
    add: impl Fn(&DB::Connection, &mut DB::Arguments, Set) -> Result<(), BoxDynError>,
) -> Result<DB::Arguments, sqlx::Error>
where
    String: for<'q> Encode<'q, DB> + Type<DB>,
    i64: for<'q> Encode<'q, DB> + Type<DB>,
    Vec<u8>: for<'q> Encode<'q, DB> + Type<DB>,
{
    let mut encoded = DB::Arguments::default();
    for arg in args {
        let added = match arg {
            Arg::Text(text) => encoded.add(text),
            Arg::Int(int) => encoded.add(int),
            Arg::Bytes(bytes) => encoded.add(bytes),
            Arg::Set(values) => add(conn, &mut encoded, Set::Values(values)),
            Arg::Rows(columns) => add(conn, &mut encoded, Set::Rows(columns)),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(encoded)
}

/// Bytes as hexadecimal digits.
#[cfg(feature = "sqlite")]
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
