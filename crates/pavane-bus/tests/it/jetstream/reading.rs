//! A user that may read a stream's messages reads it one by one, and needs no other permission.

use std::time::Duration;

use pavane_bus::{
    Bus, JetStream, Outgoing, Topology,
    conformance::World as _,
    jetstream::{Config, Login, Reader, Start},
    topology::EVENTS,
};

use super::{RealServer, message, messages, soon, start, start_with};

async fn sequences(reader: &mut Reader, count: usize) -> Vec<u64> {
    let mut read = Vec::new();
    while read.len() < count {
        let more = soon("a message", reader.next(count - read.len())).await.unwrap();
        read.extend(more.iter().map(|stored| stored.sequence));
    }
    read
}

/// As two monitors are, or two people with the command.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_number_of_readers_read_everything_and_leave_nothing_at_the_server() {
    let server = start().await;
    let bus = server.provisioned().await;
    bus.publish(messages(0..200)).await;
    let buses = [bus, server.connect().await, server.connect().await];
    let mut readers = Vec::new();
    for number in 0..20 {
        readers.push(buses[number % buses.len()].read(EVENTS, &[], Start::First).await.unwrap());
    }
    for reader in &mut readers {
        assert_eq!(sequences(reader, 200).await, (1..=200).collect::<Vec<_>>());
        assert_eq!(reader.remaining(), 0);
    }
    assert!(buses[0].consumer_reports(EVENTS).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_is_passed_over_wherever_it_was_and_not_waited_for() {
    let server = start().await;
    let bus = server.provisioned().await;
    bus.publish(messages(0..500)).await;
    let stream = server.raw().await.get_stream(EVENTS).await.unwrap();
    // The first, a hole that is larger than what is asked for at once, single ones, and the last.
    for sequence in (1..=3).chain(100..=300).chain([400, 402, 499, 500]) {
        stream.delete_message(sequence).await.unwrap();
    }
    let mut reader = bus.read(EVENTS, &[], Start::First).await.unwrap();
    let expected: Vec<u64> = (4..100).chain(301..400).chain([401]).chain(403..499).collect();
    assert_eq!(sequences(&mut reader, expected.len()).await, expected);
    assert_eq!(reader.remaining(), 0, "the end was reached");
    bus.publish(messages(500..501)).await;
    assert_eq!(sequences(&mut reader, 1).await, [501]);
    // From the middle of the hole, and filtered.
    let mut reader = bus.read(EVENTS, &["events.order.placed.*"], Start::Sequence(200)).await.unwrap();
    assert_eq!(sequences(&mut reader, 2).await, [301, 302]);
    let mut none = bus.read(EVENTS, &["redrive.>"], Start::First).await.unwrap();
    assert_eq!(none.remaining(), 0);
    assert!(tokio::time::timeout(Duration::from_millis(100), none.next(1)).await.is_err());
}

/// A service could blind everybody who watches, if it kept them from reading on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_nobody_can_read_stop_no_reader() {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

    let server = start().await;
    let bus = server.provisioned().await;
    let url = server.0.url();
    let mut raw = BufReader::new(tokio::net::TcpStream::connect(url.trim_start_matches("nats://")).await.unwrap());
    let headers = "NATS/1.0\r\nno colon\r\n\r\n";
    let (headers, size) = (format!("{headers}?"), headers.len());
    let said = format!(
        "CONNECT {{\"verbose\":false,\"headers\":true}}\r\nHPUB events.order.placed.0 {size} {}\r\n{headers}\r\nPING\r\n",
        size + 1
    );
    raw.write_all(said.as_bytes()).await.unwrap();
    let mut line = String::new();
    while !line.starts_with("PONG") {
        line.clear();
        raw.read_line(&mut line).await.unwrap();
        assert!(!line.starts_with("-ERR"), "{line}");
    }
    bus.publish(messages(1..2)).await;
    let mut reader = bus.read(EVENTS, &[], Start::First).await.unwrap();
    let read = soon("both", reader.next(2)).await.unwrap();
    assert_eq!(read.iter().map(|stored| stored.sequence).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((read[0].message.headers.iter().count(), read[0].message.payload.as_ref()), (0, b"?".as_slice()));
}

const USERS: &str = r#"authorization { users: [
    { user: admin, password: admin }
    { user: eyes, password: eyes, permissions: {
        subscribe: { allow: [ "_INBOX_eyes.>" ] }
        publish: { allow: [ "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*" ] } } }
    { user: blind, password: blind, permissions: {
        subscribe: { allow: [ "_INBOX_blind.>" ] }
        publish: { allow: [ "$JS.API.STREAM.INFO.*" ] } } }
] }"#;

async fn connect(server: &RealServer, user: &str) -> JetStream {
    let mut config = Config::new(server.0.url(), user);
    config.login = Some(Login::User(user.to_owned(), user.to_owned()));
    JetStream::connect(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_permissions_are_enough_however_it_filters_and_also_when_the_server_comes_back() {
    let mut server = start_with(USERS).await;
    let admin = connect(&server, "admin").await;
    admin.provision(&Topology::default()).await.unwrap();
    admin.publish(messages(0..10)).await;
    admin.publish(vec![Outgoing { subject: "redrive.a.b.c".to_owned(), ..message(10) }]).await.remove(0).unwrap();
    let eyes = connect(&server, "eyes").await;
    let mut readers = Vec::new();
    let cases: [(&[&str], Vec<u64>); 3] = [
        (&[], (1..=11).collect()),
        (&["events.order.>"], (1..=10).collect()),
        (&["redrive.>", "events.order.placed.3"], vec![4, 11]),
    ];
    for (filters, expected) in cases {
        let mut reader = eyes.read(EVENTS, filters, Start::First).await.unwrap();
        assert_eq!(sequences(&mut reader, expected.len()).await, expected, "{filters:?}");
        assert_eq!(reader.remaining(), 0);
        readers.push(reader);
    }
    server.0.restart().await.unwrap();
    let admin = connect(&server, "admin").await;
    for (id, subject) in [(11, "events.order.placed.3"), (12, "events.order.placed.4")] {
        admin.publish(vec![Outgoing { subject: subject.to_owned(), ..message(id) }]).await.remove(0).unwrap();
    }
    for (reader, expected) in readers.iter_mut().zip([vec![12, 13], vec![12, 13], vec![12]]) {
        assert_eq!(sequences(reader, expected.len()).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_read_is_told_so_at_once() {
    let server = start_with(USERS).await;
    let admin = connect(&server, "admin").await;
    admin.provision(&Topology::default()).await.unwrap();
    admin.publish(messages(0..1)).await;
    let blind = connect(&server, "blind").await;
    let read = blind.read(EVENTS, &[], Start::First);
    let error = tokio::time::timeout(Duration::from_secs(3), read).await.expect("soon").unwrap_err();
    assert!(error.to_string().contains("MSG.GET.EVENTS"), "{error}");
}
