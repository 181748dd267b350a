//! The command `pavane`, as an operator has it.

use std::env;

use tokio::process::Command;

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `pavane` to its end.
pub(crate) async fn pavane(nats_url: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let program = env::current_exe().unwrap();
    let folder = program.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).unwrap();
    let mut command = Command::new(folder.join("pavane"));
    command.args(arguments).env("NATS_URL", nats_url).env("USER", "tester").envs(environment.iter().copied());
    let ran = command.kill_on_drop(true).output().await;
    let ran = ran.expect("`cargo xtest` builds the command; alone: cargo build -p pavane-cli");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: ran.status.code().unwrap(), out: text(ran.stdout), err: text(ran.stderr) }
}
