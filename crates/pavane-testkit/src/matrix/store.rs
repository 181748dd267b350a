//! All SQL of the fault matrix.

use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex, PoisonError},
};

use pavane::database::{Database, Db, Dialect};
use pavane_outbox::{Arg, Statement};
use sqlx::Error;

/// Everything in the database that a service or another service could see, one line each: rows, steps, parts of
/// joins, outcomes, timers.
pub(super) async fn contents<DB: Database>(db: &Db<DB>) -> Result<Vec<String>, Error> {
    const SEEN: [(&str, Statement); 4] = [
        ("step", Statement::same("select trim(step || ' ' || state || ' ' || item) from pavane_ledger")),
        ("part", Statement::same("select trim(step || ' ' || part || ' ' || item) from pavane_part")),
        ("outcome", Statement::same("select event from pavane_outcome")),
        (
            "timer",
            Statement {
                postgres: "select subject || ' ' || encode(payload, 'escape') || ' due ' || due_at from pavane_timer",
                sqlite: "select subject || ' ' || cast(payload as text) || ' due ' || due_at from pavane_timer",
            },
        ),
    ];
    let mut lines = Vec::new();
    for (what, sql) in SEEN {
        lines.extend(texts(db, sql.on(db.dialect())).await?.into_iter().map(|text| format!("{what} {text}")));
    }
    for table in tables(db).await?.into_iter().filter(|table| !table.starts_with("pavane_")) {
        let row = match db.dialect() {
            Dialect::Postgres => format!("row_to_json(\"{table}\")::text"),
            Dialect::Sqlite => {
                let columns = format!("select 'quote(\"' || name || '\")' from pragma_table_info('{table}')");
                texts(db, constant(columns)).await?.join(" || ', ' || ")
            }
        };
        let rows = texts(db, constant(format!("select {row} from \"{table}\""))).await?;
        lines.extend(rows.into_iter().map(|row| format!("row of {table}: {row}")));
    }
    Ok(lines)
}

/// Lets the lease of the one publishing relay run out: it died, and the clock stands still.
pub(super) async fn end_lease<DB: Database>(db: &Db<DB>) -> Result<(), Error> {
    execute(db, "delete from pavane_relay_lease", Vec::new()).await
}

/// Makes the database count the rows that are written, and fail when asked to.
pub(super) async fn install_fault<DB: Database>(db: &Db<DB>) -> Result<(), Error> {
    const COUNT: &str = "create table pavane_fault (rows bigint not null, fail_at bigint); \
                         insert into pavane_fault values (0, null);";
    const FAIL: &str = "create function pavane_fail() returns trigger language plpgsql as $$ begin \
                        update pavane_fault set rows = rows + 1; \
                        if exists (select from pavane_fault where rows = fail_at) then \
                        raise exception 'the database fails, as planned'; end if; \
                        if tg_op = 'DELETE' then return old; end if; return new; end $$;";
    let mut script = COUNT.to_owned();
    if db.dialect() == Dialect::Postgres {
        script.push_str(FAIL);
    }
    for table in tables(db).await? {
        script.extend(["insert", "update", "delete"].map(|operation| {
            let trigger =
                format!("create trigger \"pavane_fault_{operation}_{table}\" before {operation} on \"{table}\"");
            match db.dialect() {
                Dialect::Postgres => format!("{trigger} for each row execute function pavane_fail();"),
                Dialect::Sqlite => format!(
                    "{trigger} begin update pavane_fault set rows = rows + 1; \
                     select raise(abort, 'the database fails, as planned') from pavane_fault where rows = fail_at; end;"
                ),
            }
        }));
    }
    let mut conn = db.writers().acquire().await?;
    DB::script(&mut conn, constant(script)).await
}

/// Makes the n-th row that is written from now on fail; `None` for no failure.
pub(super) async fn arm_fault<DB: Database>(db: &Db<DB>, fail_at: Option<i64>) -> Result<(), Error> {
    let fail_at = Arg::Int(fail_at.unwrap_or(-1));
    execute(db, "update pavane_fault set rows = 0, fail_at = $1", vec![fail_at]).await
}

/// How many rows committed transactions wrote since the fault was armed.
pub(super) async fn rows_written<DB: Database>(db: &Db<DB>) -> Result<i64, Error> {
    let mut conn = db.writers().acquire().await?;
    let rows = DB::fetch(&mut conn, "select rows from pavane_fault", Vec::new()).await?;
    Ok(rows.first().map(|row| DB::int(row, 0)).transpose()?.flatten().unwrap_or_default())
}

/// The tables, without those that only tools write to. Of a partitioned one, the whole.
async fn tables<DB: Database>(db: &Db<DB>) -> Result<Vec<String>, Error> {
    const TABLES: Statement = Statement {
        postgres: "select relname::text from pg_class where relnamespace = 'public'::regnamespace \
                   and relkind in ('r', 'p') and not relispartition and relname not like '%migrations' \
                   and relname not in ('pavane_relay_lease', 'pavane_fault') order by relname",
        sqlite: "select name from sqlite_master where type = 'table' and name not like 'sqlite%' \
                 and name not like '%migrations' and name not in ('pavane_relay_lease', 'pavane_fault') \
                 order by name",
    };
    texts(db, TABLES.on(db.dialect())).await
}

async fn texts<DB: Database>(db: &Db<DB>, sql: &'static str) -> Result<Vec<String>, Error> {
    let mut conn = db.writers().acquire().await?;
    let rows = DB::fetch(&mut conn, sql, Vec::new()).await?;
    rows.iter().map(|row| Ok(DB::text(row, 0)?.unwrap_or_default())).collect()
}

async fn execute<DB: Database>(db: &Db<DB>, sql: &'static str, args: Vec<Arg>) -> Result<(), Error> {
    let mut conn = db.writers().acquire().await?;
    DB::execute(&mut conn, sql, args).await.map(drop)
}

/// A statement made of table names. The seam takes constants only, so it is kept for ever, once for each text.
fn constant(sql: String) -> &'static str {
    static TEXTS: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = texts.get(sql.as_str()) {
        return known;
    }
    let kept: &'static str = sql.leak();
    texts.insert(kept);
    kept
}
