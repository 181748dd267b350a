//! Runs the binary.

use std::process::Stdio;

use tokio::process::{Child, Command};

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// What it said, as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
}

/// The command, with nothing of our environment that would change what it does.
pub(crate) fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pavane"));
    for variable in [
        "NATS_USER",
        "NATS_PASSWORD",
        "NATS_CREDENTIALS",
        "NATS_TOKEN",
        "NATS_TOKEN_FILE",
        "NATS_NKEY",
        "NATS_REQUIRE_TLS",
        "NATS_CA",
        "NATS_CERT",
        "NATS_KEY",
        "NATS_JS_DOMAIN",
        "NATS_JS_API_PREFIX",
        "PAVANE_NAMESPACE",
        "NATS_MONITORING_URL",
        "PROMETHEUS_URL",
        "RUST_LOG",
        "DATABASE_URL",
    ] {
        command.env_remove(variable);
    }
    command.env("NATS_URL", url).env("USER", "tester").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs it to its end.
pub(crate) async fn pavane(url: &str, arguments: &[&str]) -> Ran {
    ended(command(url, arguments).spawn().unwrap()).await
}

/// Waits for its end.
pub(crate) async fn ended(child: Child) -> Ran {
    let ran = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: ran.status.code().unwrap_or(-1), out: text(ran.stdout), err: text(ran.stderr) }
}

/// Compares what was said with the snapshot, without what differs from run to run: times, and with them columns.
macro_rules! assert_said {
    ($text:expr) => {{
        let said = &$text;
        insta::with_settings!({ filters => vec![
            (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "[when]"),
            (r" +\+[\d.]+ (ms|s)", "  +[time]"),
            (r" +took [\d.]+ (ms|s)", "  took [time]"),
            (r"took \[time\] +(\w)", "took [time]  $1"),
            (r" +[\d.]+ (ms|s) ago *", "  [time] ago  "),
            (r"\b[\d.]+ (ms|s)\b", "[time]"),
            (r"Nats-Msg-Id  +\S+", "Nats-Msg-Id  [id]"),
            (r"\d+\.\d+\.\d+ \(N[A-Z0-9]{55}\)", "[server]"),
            (r"  +\n", "\n"),
        ] }, { insta::assert_snapshot!(said) })
    }};
}
pub(crate) use assert_said;
