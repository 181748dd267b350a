//! The service `flight` as a process of its own. It listens on `HTTP_ADDR`, `127.0.0.1:4102` by default; the other variables are those of
//! [`Config::from_env`] and [`Settings::from_env`], and `DATABASE_URL` is needed.

use std::process::ExitCode;

use pavane::{Config, shutdown_signal};
use travel::provider::{Client, Settings};

#[tokio::main]
async fn main() -> ExitCode {
    let run = async {
        let (config, client) = (Config::from_env()?, Client::new(Settings::from_env()?)?);
        travel::flight::run(config, client, web::listen("127.0.0.1:4102").await?, Box::pin(shutdown_signal())).await
    };
    web::process(run).await
}
