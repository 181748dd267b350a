//! With tokio-postgres.

use tokio_postgres::NoTls;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let (url, invoice) = from_sql::arguments()?;
    let (mut client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    let tx = client.transaction().await?;
    tx.execute("insert into invoice (number) values ($1)", &[&invoice]).await?;
    tx.execute("select pavane_emit($1)", &[&from_sql::paid(&invoice)]).await?;
    tx.commit().await?;
    Ok(())
}
