use std::env;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;

use super::leash::{Launch, Leash, Signal};
use super::{Error, free_port};

const READY_LIMIT: Duration = Duration::from_secs(30);
/// Longer than a service takes to drain.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// For one readiness probe: a service that is starting may accept a connection and answer late.
const PROBE_LIMIT: Duration = Duration::from_secs(1);
/// Where every service of the shop reads the address to listen on.
const HTTP_ADDR: &str = "HTTP_ADDR";
/// Where it reads the address of its probes, if they have one of their own.
const METRICS_ADDR: &str = "METRICS_ADDR";

/// How to run a [`Process`].
#[derive(Debug, Clone, Default)]
pub struct ProcessOptions {
    /// Set in the process's environment, beside that of the test; `HTTP_ADDR` is set by [`Process`].
    pub environment: Vec<(String, String)>,
    /// The arguments of the command line.
    pub arguments: Vec<String>,
}

/// A binary of this workspace, running as a process of its own, so that it can be killed like one.
#[derive(Debug)]
pub struct Process {
    // Declared, so dropped, before the folder that it uses.
    leash: Leash,
    name: String,
    binary: PathBuf,
    address: SocketAddr,
    options: ProcessOptions,
    folder: TempDir,
}

impl Process {
    /// Starts the binary `name` and waits until its `GET /readyz` answers 200, at `METRICS_ADDR` if the environment has one.
    ///
    /// # Errors
    /// [`Error::NotBuilt`] when the binary is not beside the running test; otherwise when it ends or is not ready in time, with
    /// what it wrote.
    pub async fn start(name: &str, options: ProcessOptions) -> Result<Self, Error> {
        let binary = beside_this_program(name)?;
        // An example is named by its path, `examples/…`.
        let folder = TempDir::with_prefix(format!("pavane-{}-", name.replace('/', "-")))
            .map_err(Error::io("create a folder in", &env::temp_dir()))?;
        let port = free_port().map_err(Error::io("find a port for", &binary))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let leash = spawn(name, &binary, address, &options, &folder)?;
        let mut process = Self { leash, name: name.to_owned(), binary, address, options, folder };
        process.ready().await?;
        Ok(process)
    }

    /// Where it answers HTTP, after a restart too: `http://127.0.0.1:` and a port.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The end of what it has written so far.
    pub fn log_tail(&self) -> String {
        self.leash.log_tail()
    }

    /// Everything that it wrote so far.
    pub fn log(&self) -> String {
        self.leash.log()
    }

    /// Kills the process with SIGKILL: what it did not commit is lost.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.leash.end(Signal::Kill);
        self.leash.wait(STOP_LIMIT).await.map(drop)
    }

    /// Stops the process with SIGTERM, as an operator would, and waits until it has drained. A paused one is resumed.
    ///
    /// # Errors
    /// When it does not end in time, or ends with a failure.
    pub async fn terminate(&mut self) -> Result<(), Error> {
        self.leash.end(Signal::Term);
        self.leash.wait_success(STOP_LIMIT).await
    }

    /// Stops the process where it is, with SIGSTOP: it answers nothing, and its connections stay open. The signal takes a moment.
    pub fn pause(&mut self) {
        self.leash.signal(Signal::Stop);
    }

    /// Lets it go on after a [`pause`](Self::pause).
    pub fn resume(&mut self) {
        self.leash.signal(Signal::Cont);
    }

    /// Starts the process again, with the same environment and address; kills it first if it runs.
    ///
    /// # Errors
    /// As for [`Process::start`].
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.kill().await?;
        self.leash = spawn(&self.name, &self.binary, self.address, &self.options, &self.folder)?;
        self.ready().await
    }

    async fn ready(&mut self) -> Result<(), Error> {
        let own = self.options.environment.iter().find(|(name, _)| name == METRICS_ADDR);
        let address = own.and_then(|(_, address)| address.parse().ok()).unwrap_or(self.address);
        let is_ready = || async move {
            let probe = time::timeout(PROBE_LIMIT, is_ready(address)).await;
            matches!(probe, Ok(Ok(true))).then_some(())
        };
        self.leash.until(READY_LIMIT, is_ready).await
    }
}

fn spawn(
    name: &str,
    binary: &std::path::Path,
    address: SocketAddr,
    options: &ProcessOptions,
    folder: &TempDir,
) -> Result<Leash, Error> {
    let mut environment = options.environment.clone();
    environment.push((HTTP_ADDR.to_owned(), address.to_string()));
    Leash::spawn(Launch {
        name,
        program: binary,
        arguments: options.arguments.iter().map(Into::into).collect(),
        environment,
        user: None,
        last_signal: Signal::Kill,
        folder: folder.path(),
    })
}

/// Cargo puts a package's binaries into `target/<profile>`, and its tests into `deps` below that.
fn beside_this_program(name: &str) -> Result<PathBuf, Error> {
    let program = env::current_exe().map_err(|reason| Error::Io { doing: "find this program".to_owned(), reason })?;
    let folder = program.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).unwrap_or(&program);
    let path = folder.join(name);
    if path.is_file() { Ok(path) } else { Err(Error::NotBuilt { name: name.to_owned(), path }) }
}

/// Asks in plain HTTP: one status line is not worth a client library.
async fn is_ready(address: SocketAddr) -> io::Result<bool> {
    let mut connection = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}
