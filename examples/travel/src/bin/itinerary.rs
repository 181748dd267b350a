//! The service `itinerary` as a process of its own. It listens on `HTTP_ADDR`, `127.0.0.1:4106` by default; the other variables are those of
//! [`Config::from_env`], and `DATABASE_URL` is needed.

use std::process::ExitCode;

use pavane::{Config, shutdown_signal};

#[tokio::main]
async fn main() -> ExitCode {
    let run = async {
        Box::pin(travel::itinerary::run(
            Config::from_env()?,
            web::listen("127.0.0.1:4106").await?,
            Box::pin(shutdown_signal()),
        ))
        .await
    };
    web::process(run).await
}
