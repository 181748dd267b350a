use std::fs;
use std::future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;
use tokio::time::Instant;

use super::leash::{Launch, Leash, Signal};
use super::{Error, Tools, free_port};

const NAME: &str = "nats-server";
/// Covers a busy machine, and a store of many gigabytes to recover.
const READY_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How to run a [`Nats`] server.
#[derive(Debug, Clone, Default)]
pub struct NatsOptions {
    /// The port to listen on; by default a free one.
    pub port: Option<u16>,
    /// Where JetStream keeps its files, kept when the server ends; by default a temporary folder.
    pub store_dir: Option<PathBuf>,
    /// How often written messages are forced to the disk: `always`, or a time such as `2m`, which is the server's default.
    pub sync_interval: Option<String>,
    /// More of the server's configuration, as text: users and their permissions, `max_payload` and so on.
    pub config: String,
}

/// A real nats-server with JetStream on 127.0.0.1.
#[derive(Debug)]
pub struct Nats {
    // Declared, so dropped, before the folder that it uses.
    leash: Leash,
    binary: PathBuf,
    port: u16,
    options: NatsOptions,
    folder: TempDir,
}

impl Nats {
    /// Starts a server with the default options, and waits until it accepts clients: some 20 ms.
    ///
    /// # Errors
    /// When no nats-server can be found or fetched, or it does not start; what it logged is in the message.
    pub async fn start(tools: &Tools) -> Result<Self, Error> {
        Self::start_with(tools, NatsOptions::default()).await
    }

    /// Starts a server with `options`.
    ///
    /// # Errors
    /// As for [`Nats::start`].
    pub async fn start_with(tools: &Tools, options: NatsOptions) -> Result<Self, Error> {
        let binary = tools.nats_server().await?;
        let folder =
            TempDir::with_prefix("pavane-nats-").map_err(Error::io("create a folder in", &std::env::temp_dir()))?;
        let port = match options.port {
            Some(port) => port,
            None => free_port().map_err(Error::io("find a port for", &binary))?,
        };
        configure(&options, port, folder.path())?;
        let leash = run(&binary, folder.path()).await?;
        Ok(Self { leash, binary, port, options, folder })
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port that it listens on, after a restart too.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Kills the server with SIGKILL: nothing is flushed, nobody is told.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.end(Signal::Kill).await
    }

    /// Stops the server with SIGTERM: it closes its connections and its files.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&mut self) -> Result<(), Error> {
        self.end(Signal::Term).await
    }

    /// Stops the server where it is, with SIGSTOP: it answers nothing, and its connections stay open. The signal takes a
    /// moment.
    pub fn pause(&mut self) {
        self.leash.signal(Signal::Stop);
    }

    /// Lets it go on after a [`pause`](Self::pause).
    pub fn resume(&mut self) {
        self.leash.signal(Signal::Cont);
    }

    /// Starts the server again, on the same port and the same files; kills it first if it runs.
    ///
    /// # Errors
    /// As for [`Nats::start`].
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.kill().await?;
        self.leash = run(&self.binary, self.folder.path()).await?;
        Ok(())
    }

    /// Starts the server again with an empty disk: kills it first if it runs.
    ///
    /// # Errors
    /// As for [`Nats::start`].
    pub async fn restart_empty(&mut self) -> Result<(), Error> {
        self.kill().await?;
        let store = store_of(&self.options, self.folder.path());
        fs::remove_dir_all(&store).map_err(Error::io("empty", &store))?;
        self.restart().await
    }

    /// Has the server, which goes on, take another [`NatsOptions::config`]: it closes connections that it would not accept any
    /// more, and what a user may do is another thing from then on. The signal takes a moment.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn reconfigure(&mut self, config: impl Into<String>) -> Result<(), Error> {
        self.options.config = config.into();
        configure(&self.options, self.port, self.folder.path())?;
        self.leash.signal(Signal::Hup);
        Ok(())
    }

    async fn end(&mut self, signal: Signal) -> Result<(), Error> {
        self.leash.end(signal);
        self.leash.wait(STOP_LIMIT).await.map(drop)
    }
}

fn store_of(options: &NatsOptions, folder: &Path) -> PathBuf {
    options.store_dir.clone().unwrap_or_else(|| folder.join("store"))
}

fn configure(options: &NatsOptions, port: u16, folder: &Path) -> Result<(), Error> {
    let file = folder.join("nats.conf");
    let (store, folder) = (store_of(options, folder), folder.display());
    let store = store.display();
    let sync = options.sync_interval.as_ref().map_or_else(String::new, |interval| format!("sync_interval: {interval}"));
    let config = format!(
        "listen: 127.0.0.1:{port}\nports_file_dir: \"{folder}\"\njetstream {{\nstore_dir: \"{store}\"\n{sync}\n}}\n{}",
        options.config
    );
    fs::write(&file, config).map_err(Error::io("write", &file))
}

/// A port that was free a moment ago may not be any more, after a kill above all: tries again until the limit.
async fn run(binary: &Path, folder: &Path) -> Result<Leash, Error> {
    let deadline = Instant::now() + READY_LIMIT;
    loop {
        forget_ports(folder)?;
        let mut leash = Leash::spawn(Launch {
            name: NAME,
            program: binary,
            arguments: vec!["--config".into(), folder.join("nats.conf").into()],
            environment: Vec::new(),
            user: None,
            last_signal: Signal::Kill,
            folder,
        })?;
        match leash.until(READY_LIMIT, || future::ready(accepts_clients(folder))).await {
            Err(Error::Ended { log, .. }) if log.contains("address already in use") && Instant::now() < deadline => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(leash),
        }
    }
}

/// The server writes a file with its ports once it listens, and removes it at an orderly end only.
fn forget_ports(folder: &Path) -> Result<(), Error> {
    for path in ports_files(folder) {
        fs::remove_file(&path).map_err(Error::io("remove", &path))?;
    }
    Ok(())
}

fn accepts_clients(folder: &Path) -> Option<()> {
    #[derive(Deserialize)]
    struct Ports {
        nats: Vec<String>,
    }
    let file = fs::read(ports_files(folder).next()?).ok()?;
    let ports: Ports = serde_json::from_slice(&file).ok()?;
    (!ports.nats.is_empty()).then_some(())
}

fn ports_files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "ports"))
}
