use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;
use tokio_util::sync::{CancellationToken, DropGuard};

const CHUNK: usize = 16 * 1024;

/// Which way bytes travel through a [`Proxy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two ends")]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// A network that fails on demand: a TCP proxy inside the test process, put between a client and a server.
///
/// It ends, and closes its connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    upstream: watch::Sender<SocketAddr>,
    faults: watch::Sender<Faults>,
    _ends: DropGuard,
}

#[derive(Debug, Clone, Default)]
struct Faults {
    to_server_held: bool,
    to_client_held: bool,
    /// So many pieces of data are still carried in this direction.
    left: Option<(Direction, Arc<AtomicUsize>)>,
    refusing: bool,
    latency: Duration,
    /// Cancelled, and replaced, by [`Proxy::cut`].
    connections: CancellationToken,
}

impl Proxy {
    /// Starts to carry connections from a new address on 127.0.0.1 to `upstream`, which need not be there yet.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (upstream, leads_to) = watch::channel(upstream);
        let (faults, watched) = watch::channel(Faults::default());
        let end = CancellationToken::new();
        let ends = end.clone().drop_guard();
        tokio::spawn(async move { end.run_until_cancelled(accept(listener, leads_to, watched)).await });
        Ok(Self { address, upstream, faults, _ends: ends })
    }

    /// Where clients connect instead of to the server.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Carries new connections to `upstream` from now on. Those that are open stay where they are, until a [`Proxy::cut`].
    pub fn lead_to(&self, upstream: SocketAddr) {
        self.upstream.send_replace(upstream);
    }

    /// Carries nothing in `direction` any more, without a sign to either end, as when a cable is pulled. What is sent
    /// meanwhile arrives after [`Proxy::heal`], as TCP would send it again; or never, if a [`Proxy::cut`] comes before.
    pub fn black_hole(&self, direction: Direction) {
        self.faults.send_modify(|faults| match direction {
            Direction::ToServer => faults.to_server_held = true,
            Direction::ToClient => faults.to_client_held = true,
        });
    }

    /// As [`Proxy::black_hole`], once `pieces` more have been carried in `direction`. A piece is what arrives at once: of a
    /// protocol with requests and answers usually one of them.
    pub fn black_hole_after(&self, direction: Direction, pieces: usize) {
        self.faults.send_modify(|faults| faults.left = Some((direction, Arc::new(AtomicUsize::new(pieces)))));
    }

    /// Resets every connection that is open now. New ones are carried.
    pub fn cut(&self) {
        self.faults.send_modify(|faults| std::mem::take(&mut faults.connections).cancel());
    }

    /// Resets every connection that is open now and every new one as soon as it is made.
    pub fn refuse(&self) {
        self.faults.send_modify(|faults| faults.refusing = true);
        self.cut();
    }

    /// Delays every piece of data by `latency`, each way.
    pub fn delay(&self, latency: Duration) {
        self.faults.send_modify(|faults| faults.latency = latency);
    }

    /// Ends every fault. Connections that were reset stay so.
    pub fn heal(&self) {
        self.faults.send_modify(|faults| {
            *faults = Faults { connections: faults.connections.clone(), ..Faults::default() };
        });
    }
}

impl Faults {
    const fn holds(&self, direction: Direction) -> bool {
        match direction {
            Direction::ToServer => self.to_server_held,
            Direction::ToClient => self.to_client_held,
        }
    }

    /// Whether one more piece may be carried.
    fn spend(&self, direction: Direction) -> bool {
        let Some((_, left)) = self.left.as_ref().filter(|(limited, _)| *limited == direction) else { return true };
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

async fn accept(listener: TcpListener, upstream: watch::Receiver<SocketAddr>, faults: watch::Receiver<Faults>) {
    // Dropped with this future, which ends them all.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, _)) => drop(connections.spawn(carry(client, upstream.clone(), faults.clone()))),
            Err(error) => tracing::warn!(%error, "failed to accept a connection"),
        }
    }
}

async fn carry(mut client: TcpStream, upstream: watch::Receiver<SocketAddr>, faults: watch::Receiver<Faults>) {
    // Before the upstream: a cut that comes after `lead_to` then finds every connection that leads to the old one.
    let Faults { refusing, connections, .. } = faults.borrow().clone();
    if refusing {
        return reset(&client);
    }
    let upstream = *upstream.borrow();
    let Ok(mut server) = TcpStream::connect(upstream).await else {
        return reset(&client);
    };
    let result = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = pump(from_client, to_server, faults.clone(), Direction::ToServer);
        let down = pump(from_server, to_client, faults, Direction::ToClient);
        connections.run_until_cancelled(async { tokio::try_join!(up, down) }).await
    };
    // Both sides closed in good order: the only end that is not a reset.
    if !matches!(result, Some(Ok(_))) {
        reset(&client);
        reset(&server);
    }
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut faults: watch::Receiver<Faults>,
    direction: Direction,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = from.read(&mut chunk).await?;
        let carried = faults.borrow_and_update().spend(direction);
        if !carried {
            faults.wait_for(|it| it.left.is_none()).await.map_err(io::Error::other)?;
        }
        let latency = faults.wait_for(|it| !it.holds(direction)).await.map_err(io::Error::other)?.latency;
        time::sleep(latency).await;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&chunk[..length]).await?;
    }
}

/// Makes the coming close a reset (RST) rather than an orderly end.
fn reset(connection: &TcpStream) {
    if let Err(error) = connection.set_zero_linger() {
        tracing::debug!(%error, "the connection is gone already");
    }
}
