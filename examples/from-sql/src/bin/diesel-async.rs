//! With Diesel.

use diesel::sql_types::{Jsonb, Text};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let (url, invoice) = from_sql::arguments()?;
    let mut conn = AsyncPgConnection::establish(&url).await?;
    conn.transaction::<_, diesel::result::Error, _>(async |conn| {
        let insert = diesel::sql_query("insert into invoice (number) values ($1)").bind::<Text, _>(&invoice);
        insert.execute(conn).await?;
        diesel::sql_query("select pavane_emit($1)").bind::<Jsonb, _>(from_sql::paid(&invoice)).execute(conn).await
    })
    .await?;
    Ok(())
}
