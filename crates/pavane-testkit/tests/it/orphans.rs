use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

const SOON: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

#[tokio::test]
async fn a_killed_test_run_leaves_neither_servers_nor_folders_behind() -> Result<()> {
    nothing_is_left("running").await
}

#[tokio::test]
async fn a_killed_test_run_leaves_no_paused_servers_behind_either() -> Result<()> {
    nothing_is_left("paused").await
}

/// The example `servers` stands for a test run: it starts both servers, and is killed before it can drop them.
async fn nothing_is_left(servers: &str) -> Result<()> {
    let program = env::current_exe()?;
    let example = program.ancestors().nth(2).context("a target folder")?.join("examples/servers");
    let temporary = env::temp_dir().join(format!("pavane-orphans-{servers}-{}", std::process::id()));
    fs::create_dir(&temporary)?;
    // As the system's own: the user that PostgreSQL runs as removes its folder from it.
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o1777))?;
    let mut command = Command::new(&example);
    let mut run = command
        .arg(servers)
        .env("TMPDIR", &temporary)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} comes with cargo test", example.display()))?;

    let mut lines = BufReader::new(run.stdout.take().context("its output")?).lines();
    let mut ports = Vec::new();
    while ports.len() < 2 {
        let line = timeout(SOON, lines.next_line()).await??.context("it ended early")?;
        if let Some((_, url)) = line.split_once("_URL=") {
            let port = url.rsplit(':').next().and_then(|rest| rest.split('/').next()).context("a port")?;
            ports.push(port.parse::<u16>()?);
        }
    }
    run.kill().await?;

    timeout(SOON, async {
        for port in ports {
            while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                sleep(POLL).await;
            }
        }
        // Fails as long as it is not empty.
        while fs::remove_dir(&temporary).is_err() {
            sleep(POLL).await;
        }
    })
    .await
    .context("something was left behind")?;
    Ok(())
}
