use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Certificate;

/// Speaks TLS in front of a server that doesn't.
///
/// It ends, and closes its connections, when it is dropped.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    _ends: DropGuard,
}

impl TlsFront {
    /// Starts to carry connections from a new address on 127.0.0.1 to `upstream`.
    ///
    /// # Errors
    /// When the certificate or its key can't be used, or no port can be opened.
    pub async fn start(upstream: SocketAddr, certificate: &Certificate) -> io::Result<Self> {
        let chain = CertificateDer::from_pem_slice(certificate.certificate.as_bytes()).map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).map_err(io::Error::other)?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![chain], key))
            .map_err(io::Error::other)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let end = CancellationToken::new();
        let ends = end.clone().drop_guard();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move { end.run_until_cancelled(accept(listener, upstream, acceptor)).await });
        Ok(Self { address, _ends: ends })
    }

    /// Where clients connect, over TLS, instead of to the server.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, acceptor: TlsAcceptor) {
    // Dropped with this future, which ends them all.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, _)) => drop(connections.spawn(carry(client, upstream, acceptor.clone()))),
            Err(error) => tracing::warn!(%error, "failed to accept a connection"),
        }
    }
}

async fn carry(client: TcpStream, upstream: SocketAddr, acceptor: TlsAcceptor) {
    let carried = async {
        let mut client = acceptor.accept(client).await?;
        let mut server = TcpStream::connect(upstream).await?;
        copy_bidirectional(&mut client, &mut server).await
    };
    if let Err(error) = carried.await {
        // A client that doesn't trust the certificate, for example.
        tracing::debug!(%error, "a connection over TLS broke");
    }
}
