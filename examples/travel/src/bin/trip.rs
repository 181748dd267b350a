//! The service `trip` as a process of its own. It listens on `HTTP_ADDR`, `127.0.0.1:4101` by default; the other variables are those of
//! [`Config::from_env`], and `DATABASE_URL` is needed.

use std::process::ExitCode;

use pavane::{Config, shutdown_signal};

#[tokio::main]
async fn main() -> ExitCode {
    let run = async {
        travel::trip::run(Config::from_env()?, web::listen("127.0.0.1:4101").await?, Box::pin(shutdown_signal())).await
    };
    web::process(run).await
}
