//! Sets for sqlx's PostgreSQL driver: arrays.

use sqlx::{
    Arguments as _, Encode, PgConnection, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgHasArrayType, PgTypeInfo, types::Oid},
};
use uuid::Uuid;

use super::arg::{Set, Values};

pub(super) fn add(_: &PgConnection, arguments: &mut PgArguments, set: Set) -> Result<(), BoxDynError> {
    match set {
        Set::Values(values) => add_array(arguments, values),
        Set::Rows(columns) => columns.into_iter().try_for_each(|column| add_array(arguments, column)),
    }
}

fn add_array(arguments: &mut PgArguments, values: Values) -> Result<(), BoxDynError> {
    match values {
        Values::Ids(ids) => arguments.add(ids.into_iter().map(Id).collect::<Vec<_>>()),
        Values::Ints(ints) => arguments.add(ints),
        Values::Texts(texts) => arguments.add(texts),
        Values::Bytes(bytes) => arguments.add(bytes.iter().map(|bytes| &bytes[..]).collect::<Vec<_>>()),
    }
}

/// A UUID, encoded without sqlx's feature `uuid`: that would be on for every crate that shares sqlx.
struct Id(Uuid);

impl Type<Postgres> for Id {
    fn type_info() -> PgTypeInfo {
        const UUID: Oid = Oid(2950);
        PgTypeInfo::with_oid(UUID)
    }
}

impl PgHasArrayType for Id {
    fn array_type_info() -> PgTypeInfo {
        const UUIDS: Oid = Oid(2951);
        PgTypeInfo::with_oid(UUIDS)
    }
}

impl Encode<'_, Postgres> for Id {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}
