//! All SQL of the fault matrix.

use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex, PoisonError},
};

use pavane::database::{Database, Db, Dialect};
use pavane_outbox::{Arg, Statement};
use sqlx::Error;

/// Everything in the database that a service or another service could see, one line each: rows, steps, parts of
/// joins, questions, outcomes, timers.
pub(super) async fn contents<DB: Database>(db: &Db<DB>) -> Result<Vec<String>, Error> {
    const SEEN: [(&str, Statement); 5] = [
        ("step", Statement::same("select trim(step || ' ' || state || ' ' || item) from pavane_ledger")),
        ("part", Statement::same("select trim(step || ' ' || part || ' ' || item) from pavane_part")),
        ("question", Statement::same("select trim(entry || ' ' || coalesce(answer, '')) from pavane_question")),
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
        let rows = match db.dialect() {
            Dialect::Postgres => rows_on_postgres(db, &table).await?,
            Dialect::Sqlite => rows_on_sqlite(db, &table).await?,
        };
        lines.extend(rows.into_iter().map(|row| format!("row of {table}: {row}")));
    }
    Ok(lines)
}

async fn rows_on_sqlite<DB: Database>(db: &Db<DB>, table: &str) -> Result<Vec<String>, Error> {
    let columns = format!("select 'quote(\"' || name || '\")' from pragma_table_info('{table}')");
    let row = texts(db, constant(columns)).await?.join(" || ', ' || ");
    texts(db, constant(format!("select {row} from \"{table}\""))).await
}

/// A column that says when its row was written says it differently in each run: such times, none before the server was started and
/// none still to come, are all the same.
async fn rows_on_postgres<DB: Database>(db: &Db<DB>, table: &str) -> Result<Vec<String>, Error> {
    let columns = format!(
        "select format('%L, case when %1$I between pg_postmaster_start_time() and clock_timestamp() then to_jsonb(text ''now'') \
         else to_jsonb(%1$I) end', attname) from pg_attribute where attrelid = '{table}'::regclass and attnum > 0 \
         and not attisdropped and atttypid in ('timestamptz'::regtype, 'timestamp'::regtype) order by attnum"
    );
    let times = texts(db, constant(columns)).await?.join(", ");
    let rows = format!("select (to_jsonb(it) || jsonb_build_object({times}))::text from {table} as it");
    texts(db, constant(rows)).await
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
    // A rollback gives no number back.
    const REWIND: &str = "create function pavane_rewind() returns void language plpgsql as $$ declare it record; begin \
                          for it in select seqrelid::regclass as sequence, seqstart as start, seqincrement as increment, \
                                           refobjid::regclass as tab, attname as col \
                                    from pg_sequence join pg_depend on objid = seqrelid and classid = 'pg_class'::regclass \
                                                     and refclassid = 'pg_class'::regclass and deptype in ('a', 'i') \
                                    join pg_attribute on attrelid = refobjid and attnum = refobjsubid \
                                    join pg_class on pg_class.oid = refobjid where relname not like 'pavane\\_%' loop \
                          execute format('select setval(%L, coalesce(max(%I) + %s, %s), false) from %s', \
                                         it.sequence, it.col, it.increment, it.start, it.tab); end loop; end $$;";
    let mut script = COUNT.to_owned();
    if db.dialect() == Dialect::Postgres {
        script.extend([FAIL, REWIND]);
    }
    for table in tables(db).await? {
        script.extend(["insert", "update", "delete"].map(|operation| match db.dialect() {
            Dialect::Postgres => format!(
                "create trigger pavane_fault_{operation} before {operation} on {table} \
                     for each row execute function pavane_fail();"
            ),
            Dialect::Sqlite => format!(
                "create trigger \"pavane_fault_{operation}_{table}\" before {operation} on \"{table}\" \
                     begin update pavane_fault set rows = rows + 1; \
                     select raise(abort, 'the database fails, as planned') from pavane_fault where rows = fail_at; end;"
            ),
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

/// Gives each sequence that belongs to a column back the numbers that no row has: those of a transaction that was rolled back are
/// given out again, as SQLite does. PostgreSQL only.
pub(super) async fn rewind<DB: Database>(db: &Db<DB>) -> Result<(), Error> {
    if db.dialect() == Dialect::Postgres {
        execute(db, "select pavane_rewind()", Vec::new()).await?;
    }
    Ok(())
}

/// How many rows committed transactions wrote since the fault was armed.
pub(super) async fn rows_written<DB: Database>(db: &Db<DB>) -> Result<i64, Error> {
    let mut conn = db.writers().acquire().await?;
    let rows = DB::fetch(&mut conn, "select rows from pavane_fault", Vec::new()).await?;
    Ok(rows.first().map(|row| DB::int(row, 0)).transpose()?.flatten().unwrap_or_default())
}

/// The tables, without those that only tools write to. Of a partitioned one, the whole. On PostgreSQL quoted, and with their schema,
/// where they must be.
async fn tables<DB: Database>(db: &Db<DB>) -> Result<Vec<String>, Error> {
    const TABLES: Statement = Statement {
        postgres: "select oid::regclass::text from pg_class where relnamespace::regnamespace::text !~ '^(pg_|information_schema$)' \
                   and relkind in ('r', 'p') and not relispartition and relname not like '%migrations' \
                   and relname not in ('pavane_relay_lease', 'pavane_fault') and relname !~ '^pavane_test($|_)' order by 1",
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
