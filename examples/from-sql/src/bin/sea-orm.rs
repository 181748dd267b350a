//! With SeaORM.

use sea_orm::{ConnectionTrait as _, Database, DbBackend, Statement, TransactionTrait as _};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let (url, invoice) = from_sql::arguments()?;
    let tx = Database::connect(url).await?.begin().await?;
    let statement = |sql: &str, value| Statement::from_sql_and_values(DbBackend::Postgres, sql, [value]);
    let document = from_sql::paid(&invoice).into();
    tx.execute_raw(statement("insert into invoice (number) values ($1)", invoice.into())).await?;
    tx.execute_raw(statement("select pavane_emit($1)", document)).await?;
    tx.commit().await?;
    Ok(())
}
