use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What the server does with one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behaviour {
    /// Answers `RCPT TO` with this line.
    Recipient(&'static str),
    /// Answers `MAIL FROM` with this line.
    Sender(&'static str),
    /// Takes the mail and hangs up without saying so.
    SilentlyTakes,
    /// Takes the connection, and never says a word.
    Silent,
}

/// A small SMTP server: one mail a connection, and it doesn't care whose.
pub(crate) struct SmtpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    served: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Behaviour>>,
    seen: Mutex<Seen>,
}

/// What went on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    /// Recipient and content of each mail that was taken.
    pub(crate) mails: Vec<(String, String)>,
}

impl SmtpServer {
    /// Does with the first connections what the script says, and takes the mail of each later one.
    pub(crate) async fn start(script: impl IntoIterator<Item = Behaviour>) -> io::Result<Self> {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await?, script)
    }

    pub(crate) fn start_on(listener: TcpListener, script: impl IntoIterator<Item = Behaviour>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { script: Mutex::new(script.into_iter().collect()), ..Shared::default() });
        let served = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, served })
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Seen {
        locked(&self.shared.seen).clone()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.served.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((connection, _)) = listener.accept().await {
        locked(&shared.seen).connections += 1;
        let behaviour = locked(&shared.script).pop_front();
        let shared = Arc::clone(&shared);
        // A client that hangs up ends its conversation, and nothing else.
        tokio::spawn(async move { drop(converse(connection, behaviour, &shared).await) });
    }
}

async fn converse(connection: TcpStream, behaviour: Option<Behaviour>, shared: &Shared) -> io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut recipient = String::new();
    if matches!(behaviour, Some(Behaviour::Silent)) {
        return std::future::pending().await;
    }
    connection.write_all(b"220 test\r\n").await?;
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer = match (line.get(..4).unwrap_or_default(), behaviour) {
            ("EHLO", _) => "250-test\r\n250 8BITMIME",
            ("MAIL", Some(Behaviour::Sender(answer))) | ("RCPT", Some(Behaviour::Recipient(answer))) => answer,
            ("RCPT", _) => {
                recipient = line.trim().trim_start_matches("RCPT TO:<").trim_end_matches('>').to_owned();
                "250 ok"
            }
            ("DATA", _) => {
                connection.write_all(b"354 go on\r\n").await?;
                let mail = content(&mut connection).await?;
                locked(&shared.seen).mails.push((recipient.clone(), mail));
                if matches!(behaviour, Some(Behaviour::SilentlyTakes)) {
                    return Ok(());
                }
                "250 taken"
            }
            ("QUIT", _) => return connection.write_all(b"221 bye\r\n").await,
            _ => "250 ok",
        };
        connection.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

async fn content(connection: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut mail = String::new();
    while connection.read_line(&mut mail).await? > 0 {
        if let Some(whole) = mail.strip_suffix("\r\n.\r\n") {
            return Ok(whole.to_owned());
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
