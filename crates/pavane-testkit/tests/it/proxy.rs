use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use pavane_testkit::servers::{Direction, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

const SOON: Duration = Duration::from_secs(5);
const A_WHILE: Duration = Duration::from_millis(100);

/// Answers each byte with the same byte.
async fn echo() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = connection.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    Ok(address)
}

async fn round_trip(connection: &mut TcpStream, byte: u8) -> std::io::Result<u8> {
    connection.write_u8(byte).await?;
    connection.read_u8().await
}

#[tokio::test]
async fn bytes_go_through_and_the_end_too() -> Result<()> {
    let proxy = Proxy::start(echo().await?).await?;
    let mut connection = TcpStream::connect(proxy.address()).await?;
    assert_eq!(round_trip(&mut connection, 7).await?, 7);
    connection.shutdown().await?;
    let mut rest = Vec::new();
    assert_eq!(timeout(SOON, connection.read_to_end(&mut rest)).await??, 0);
    Ok(())
}

#[tokio::test]
async fn a_black_hole_delivers_only_after_it_is_healed() -> Result<()> {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let proxy = Proxy::start(echo().await?).await?;
        let mut connection = TcpStream::connect(proxy.address()).await?;
        assert_eq!(round_trip(&mut connection, 1).await?, 1);
        proxy.black_hole(direction);
        connection.write_u8(2).await?;
        assert!(timeout(A_WHILE, connection.read_u8()).await.is_err(), "{direction:?}");
        proxy.heal();
        assert_eq!(timeout(SOON, connection.read_u8()).await??, 2, "{direction:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_cut_resets_what_is_open_and_nothing_else() -> Result<()> {
    let proxy = Proxy::start(echo().await?).await?;
    let mut old = TcpStream::connect(proxy.address()).await?;
    assert_eq!(round_trip(&mut old, 1).await?, 1);
    proxy.cut();
    let error = timeout(SOON, old.read_u8()).await?.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let mut new = TcpStream::connect(proxy.address()).await?;
    assert_eq!(round_trip(&mut new, 2).await?, 2);
    Ok(())
}

/// Greets each connection with `byte`, and then answers nothing.
async fn greeter(byte: u8) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            connection.write_u8(byte).await?;
            open.push(connection);
        }
        std::io::Result::Ok(())
    });
    Ok(address)
}

#[tokio::test]
async fn a_proxy_that_leads_elsewhere_keeps_what_is_open_until_a_cut() -> Result<()> {
    let proxy = Proxy::start(echo().await?).await?;
    let mut old = TcpStream::connect(proxy.address()).await?;
    assert_eq!(round_trip(&mut old, 1).await?, 1);
    proxy.lead_to(greeter(9).await?);
    let mut new = TcpStream::connect(proxy.address()).await?;
    assert_eq!(timeout(SOON, new.read_u8()).await??, 9, "a new one is carried to the new server");
    assert_eq!(round_trip(&mut old, 2).await?, 2, "an old one is where it was");
    proxy.cut();
    assert_eq!(timeout(SOON, old.read_u8()).await?.unwrap_err().kind(), ErrorKind::ConnectionReset);
    Ok(())
}

#[tokio::test]
async fn a_refusing_proxy_resets_until_it_is_healed() -> Result<()> {
    let proxy = Proxy::start(echo().await?).await?;
    proxy.refuse();
    let mut refused = TcpStream::connect(proxy.address()).await?;
    assert!(timeout(SOON, refused.read_u8()).await?.is_err());
    proxy.heal();
    let mut connection = TcpStream::connect(proxy.address()).await?;
    assert_eq!(round_trip(&mut connection, 3).await?, 3);
    Ok(())
}

#[tokio::test]
async fn a_delay_takes_its_time_each_way() -> Result<()> {
    let proxy = Proxy::start(echo().await?).await?;
    let mut connection = TcpStream::connect(proxy.address()).await?;
    proxy.delay(A_WHILE);
    let start = Instant::now();
    assert_eq!(round_trip(&mut connection, 1).await?, 1);
    assert!(start.elapsed() >= 2 * A_WHILE);
    Ok(())
}

#[tokio::test]
async fn a_black_hole_after_some_pieces_carries_just_those() -> Result<()> {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let proxy = Proxy::start(echo().await?).await?;
        let mut connection = TcpStream::connect(proxy.address()).await?;
        proxy.black_hole_after(direction, 2);
        for byte in [1, 2] {
            assert_eq!(timeout(SOON, round_trip(&mut connection, byte)).await??, byte);
        }
        assert!(timeout(A_WHILE, round_trip(&mut connection, 3)).await.is_err());
        proxy.heal();
        assert_eq!(timeout(SOON, connection.read_u8()).await??, 3);
    }
    Ok(())
}
