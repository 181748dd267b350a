//! Sets for `sqlx::Any`, which has no arrays: on PostgreSQL they are the text of an array, which the statement casts.

use sqlx::{AnyConnection, Arguments as _, Database as _, Postgres, any::AnyArguments, error::BoxDynError};

use super::{
    arg::{Set, Values, hex},
    sqlite,
};

pub(super) fn add(conn: &AnyConnection, arguments: &mut AnyArguments, set: Set) -> Result<(), BoxDynError> {
    if conn.backend_name() != Postgres::NAME {
        return arguments.add(sqlite::json(set)?);
    }
    match set {
        Set::Values(values) => arguments.add(literal(&values)),
        Set::Rows(columns) => columns.iter().try_for_each(|column| arguments.add(literal(column))),
    }
}

/// The text of a PostgreSQL array: <https://www.postgresql.org/docs/15/arrays.html#ARRAYS-IO>.
fn literal(values: &Values) -> String {
    let values = match values {
        Values::Ids(ids) => join(ids.iter().map(ToString::to_string)),
        Values::Ints(ints) => join(ints.iter().map(ToString::to_string)),
        Values::Texts(texts) => join(texts.iter().map(|text| quoted(text))),
        Values::Bytes(bytes) => join(bytes.iter().map(|bytes| quoted(&format!(r"\x{}", hex(bytes))))),
    };
    format!("{{{values}}}")
}

fn join(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join(",")
}

/// A quoted element is text, even `NULL`.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}
