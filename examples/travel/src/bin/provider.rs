//! The provider simulator as a process of its own. It listens on `HTTP_ADDR`, `127.0.0.1:4110` by default, and keeps its books in memory.

use std::{process::ExitCode, sync::Arc};

use pavane::{contract::SystemClock, shutdown_signal};
use travel::provider::{self, Faults, Provider};

#[tokio::main]
async fn main() -> ExitCode {
    let run = async {
        let provider = Provider::new(Arc::new(SystemClock), Faults::default());
        provider::serve(web::listen("127.0.0.1:4110").await?, &provider, shutdown_signal()).await
    };
    web::process(run).await
}
