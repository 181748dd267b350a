//! A nats-server and a PostgreSQL to try things on: prints their URLs, and ends them when it is ended, in whatever way. With
//! the argument `paused` they answer nobody: that is for a test of their end.

use std::{env, future};

use pavane_testkit::servers::{Nats, Postgres, Tools};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "it is a program")]
async fn main() -> anyhow::Result<()> {
    let tools = Tools::from_env().announcing(|line| println!("{line}"));
    let mut nats = Nats::start(&tools).await?;
    println!("NATS_URL={}", nats.url());
    let mut postgres = Postgres::start(&tools).await?;
    if env::args().nth(1).as_deref() == Some("paused") {
        nats.pause();
        postgres.pause().await?;
    }
    println!("DATABASE_URL={}", postgres.url("postgres"));
    future::pending().await
}
