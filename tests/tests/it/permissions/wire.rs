//! A client of the NATS protocol that says what it wants and hears what the server thinks of it.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

/// A connection as one user.
pub(super) struct Wire {
    stream: BufReader<TcpStream>,
    inbox: String,
}

impl Wire {
    pub(super) async fn connect(url: &str, user: &str) -> Self {
        let address = url.trim_start_matches("nats://");
        let stream = BufReader::new(TcpStream::connect(address).await.unwrap());
        let mut wire = Self { stream, inbox: format!("_INBOX_{user}.answers") };
        let hello = json!({ "user": user, "pass": user, "verbose": false, "pedantic": false, "headers": true,
            "no_responders": true, "lang": "test", "version": "1", "protocol": 1 });
        let inbox = wire.inbox.clone();
        assert_eq!(wire.say(&format!("CONNECT {hello}\r\nSUB {inbox} 1\r\n")).await.errors, [""; 0], "{user}");
        wire
    }

    /// Publishes, with the inbox for an answer. Returns whether the server refuses it; it did what it does by then, if not.
    pub(super) async fn is_refused(&mut self, subject: &str, payload: &str) -> bool {
        let errors = self.publish(subject, payload).await.errors;
        let refused =
            |error: &String| error.contains("Permissions Violation for Publish to") && error.contains(subject);
        assert!(errors.iter().all(refused), "{errors:?}");
        !errors.is_empty()
    }

    /// Whether the server refuses a subscription.
    pub(super) async fn is_deaf_to(&mut self, subject: &str) -> bool {
        let errors = self.say(&format!("SUB {subject} 7\r\nUNSUB 7\r\n")).await.errors;
        assert!(errors.iter().all(|error| error.contains("Permissions Violation for Subscription to")), "{errors:?}");
        !errors.is_empty()
    }

    /// What the API answers.
    pub(super) async fn ask(&mut self, subject: &str, payload: &Value) -> Value {
        let mut heard = self.publish(subject, &payload.to_string()).await;
        while heard.answers.is_empty() {
            assert_eq!(heard.errors, [""; 0], "{subject}");
            heard = self.say("").await;
        }
        serde_json::from_slice(&heard.answers.remove(0)).unwrap()
    }

    /// Has an answer sent to another subject than one's own, which the server does in its own name.
    pub(super) async fn have_answered(&mut self, subject: &str, reply: &str, payload: &str) {
        let heard = self.say(&format!("PUB {subject} {reply} {}\r\n{payload}\r\n", payload.len())).await;
        assert!(heard.errors.iter().all(|error| error.contains("Publish with Reply")), "{heard:?}");
    }

    async fn publish(&mut self, subject: &str, payload: &str) -> Heard {
        let (inbox, size) = (self.inbox.clone(), payload.len());
        self.say(&format!("PUB {subject} {inbox} {size}\r\n{payload}\r\n")).await
    }

    /// Everything that the server said until it had read all of this.
    async fn say(&mut self, lines: &str) -> Heard {
        self.stream.write_all(format!("{lines}PING\r\n").as_bytes()).await.unwrap();
        let mut heard = Heard::default();
        loop {
            let mut line = String::new();
            assert_ne!(self.stream.read_line(&mut line).await.unwrap(), 0, "the server hung up: {heard:?}");
            let mut words = line.split_whitespace();
            match words.next() {
                Some("PONG") => return heard,
                Some("PING") => self.stream.write_all(b"PONG\r\n").await.unwrap(),
                Some("-ERR") => heard.errors.push(line.trim().to_owned()),
                Some("MSG" | "HMSG") => {
                    let size: usize = words.next_back().unwrap().parse().unwrap();
                    let mut payload = vec![0; size + 2];
                    self.stream.read_exact(&mut payload).await.unwrap();
                    payload.truncate(size);
                    heard.answers.push(payload);
                }
                _ => {}
            }
        }
    }
}

#[derive(Debug, Default)]
struct Heard {
    errors: Vec<String>,
    answers: Vec<Vec<u8>>,
}
