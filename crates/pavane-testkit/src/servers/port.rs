use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// Below the range from which systems take the ports of outgoing connections. A client that keeps trying to reconnect to
/// a killed server on a port *of* that range may be given that very port for itself: it then connects to itself, and the
/// server cannot come back.
const PORTS: std::ops::Range<u16> = 10_000..30_000;
const TRIES: usize = 100;

/// Finds a TCP port on 127.0.0.1 that nobody listens on now, and that stays usable across a server's restart.
///
/// # Errors
/// When a hundred ports drawn at random were all taken.
pub fn free_port() -> io::Result<u16> {
    (0..TRIES)
        .map(|_| rand::random_range(PORTS))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| io::ErrorKind::AddrInUse.into())
}
