//! PostgreSQL over TLS: its certificate is looked at, and so is whose it is.

use pavane::{database::Config as DbConfig, postgres::Db};
use pavane_testkit::servers::{Authority, Postgres, PostgresOptions, Tools};
use sqlx::PgPool;

/// How to ask for a server that an authority has signed for.
fn verify_full(authority: &Authority) -> String {
    format!("?sslmode=verify-full&sslrootcert={}", authority.file().display())
}

/// A server on this machine that says it is `host`.
async fn server(authority: &Authority, host: &str) -> (Postgres, String) {
    let options = PostgresOptions { certificate: Some(authority.sign(host).unwrap()), ..PostgresOptions::default() };
    let server = Postgres::start_with(&Tools::from_env(), options).await.unwrap();
    let url = server.url("postgres").replace("127.0.0.1", "localhost");
    (server, url)
}

async fn refusal(url: String) -> String {
    pavane_outbox::chain(&Db::open(DbConfig::new("stage", url)).await.unwrap_err())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_proves_its_name_is_talked_to_over_tls() {
    let authority = Authority::new().unwrap();
    let (_server, url) = server(&authority, "localhost").await;
    let url = url + &verify_full(&authority);
    let opened = Db::open(DbConfig::new("stage", &url)).await.unwrap();
    let handed_in = Db::from_pool("stage", PgPool::connect(&url).await.unwrap());
    for db in [opened, handed_in] {
        db.check().await.unwrap();
        let is_encrypted = sqlx::query_scalar::<_, bool>("select ssl from pg_stat_ssl where pid = pg_backend_pid()");
        assert!(is_encrypted.fetch_one(db.writers()).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_the_certificate_of_another_or_of_a_stranger_is_refused() {
    let (authority, stranger) = (Authority::new().unwrap(), Authority::new().unwrap());
    let (_server, url) = server(&authority, "elsewhere").await;
    let another = refusal(url.clone() + &verify_full(&authority)).await;
    assert!(another.contains("not valid for name"), "{another}");
    let unknown = refusal(url + &verify_full(&stranger)).await;
    assert!(unknown.contains("UnknownIssuer") || unknown.contains("BadSignature"), "{unknown}");
}
