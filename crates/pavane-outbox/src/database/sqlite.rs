//! Sets for SQLite: JSON, for `json_each`.

use serde::{Serialize, Serializer};
use sqlx::{Arguments as _, SqliteConnection, error::BoxDynError, sqlite::SqliteArguments};
use uuid::Uuid;

use super::arg::{Set, Values, hex};

pub(super) fn add(_: &SqliteConnection, arguments: &mut SqliteArguments, set: Set) -> Result<(), BoxDynError> {
    arguments.add(json(set)?)
}

/// `["a","b"]`, or `[["a",1],["b",2]]`.
pub(super) fn json(set: Set) -> serde_json::Result<String> {
    match set {
        Set::Values(values) => serde_json::to_string(&Column(&values)),
        Set::Rows(columns) => serde_json::to_string(&Rows(&columns)),
    }
}

/// One value of a set.
#[derive(Serialize)]
#[serde(untagged)]
enum Value<'a> {
    Id(Uuid),
    Int(i64),
    Text(&'a str),
    Bytes(String),
}

fn len(values: &Values) -> usize {
    match values {
        Values::Ids(ids) => ids.len(),
        Values::Ints(ints) => ints.len(),
        Values::Texts(texts) => texts.len(),
        Values::Bytes(bytes) => bytes.len(),
    }
}

fn at(values: &Values, index: usize) -> Value<'_> {
    match values {
        Values::Ids(ids) => Value::Id(ids[index]),
        Values::Ints(ints) => Value::Int(ints[index]),
        Values::Texts(texts) => Value::Text(&texts[index]),
        Values::Bytes(bytes) => Value::Bytes(hex(&bytes[index])),
    }
}

struct Column<'a>(&'a Values);

impl Serialize for Column<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..len(self.0)).map(|index| at(self.0, index)))
    }
}

/// Columns, written row by row.
struct Rows<'a>(&'a [Values]);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let count = self.0.first().map_or(0, len);
        debug_assert!(self.0.iter().all(|column| len(column) == count), "columns are equally long");
        serializer.collect_seq((0..count).map(|index| Row { columns: self.0, index }))
    }
}

struct Row<'a> {
    columns: &'a [Values],
    index: usize,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.columns.iter().map(|column| at(column, self.index)))
    }
}
