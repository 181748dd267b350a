//! An HTTP server within [limits](HttpLimits): a client that is slow, or many, takes little from the others.

use std::{future::Future, io, net::SocketAddr, pin::pin, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, DefaultBodyLimit, Request},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulConnection, GracefulShutdown},
};
use pavane::ops;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tower_service::Service as _;
use tracing::{debug, error, info};

use crate::{HttpLimits, Problem};

/// How long requests under way may take once the server stops. A client that stalls must not keep the rest from ending.
pub const HTTP_PATIENCE: Duration = Duration::from_secs(5);

/// No request's body is longer, unless its route allows more.
const BODY_MAX: usize = 256 * 1024;

/// Serves HTTP within these limits until `shutdown` completes. Then it takes no more requests, answers those under way for as long as
/// [`HTTP_PATIENCE`] allows, and cuts off the others. Each request is a [span](ops::spans).
///
/// A stream, such as server-sent events, ends when its handler or its client ends it: no limit cuts it, but it counts as a
/// connection, and it is under way.
pub async fn serve(
    limits: HttpLimits,
    listener: TcpListener,
    routes: Router,
    shutdown: impl Future<Output = ()> + Send,
) {
    let HttpLimits { header_timeout, request_timeout, connections_max } = limits;
    let deadline = middleware::from_fn(move |request, next| answered_within(request_timeout, request, next));
    let routes = ops::spans(routes.layer(deadline).layer(DefaultBodyLimit::max(BODY_MAX)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(header_timeout);
    let graceful = GracefulShutdown::new();
    // Aborted at the end of this function, and where it is dropped before.
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            // Where there is no place, the next client waits in the kernel's queue.
            accepted = listener.accept(), if connections.len() < connections_max => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let served = graceful.watch(connection(&http, stream, peer, routes.clone()));
                connections.spawn(async move {
                    if let Err(error) = served.await {
                        debug!(%peer, %error, "a connection failed");
                    }
                });
            }
            Err(error) => not_accepted(&error).await,
        }
    }
    info!("stopping: no more requests are taken");
    drop(listener);
    if timeout(HTTP_PATIENCE, graceful.shutdown()).await.is_err() {
        info!("requests that take longer than {HTTP_PATIENCE:?} are cut off");
    }
}

/// What serves one connection. A request knows who sent it: [`ConnectInfo`].
fn connection(
    http: &http1::Builder,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
) -> impl GracefulConnection<Error = hyper::Error> + Send + use<> {
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    http.serve_connection(TokioIo::new(stream), service)
}

/// Goes on: one client's trouble is its own, and where files have run out, the next connection that ends gives one back.
async fn not_accepted(failure: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    const PAUSE: Duration = Duration::from_secs(1);
    if !matches!(failure.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        error!(error = %failure, "failed to accept a connection; trying again in {PAUSE:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn answered_within(limit: Duration, request: Request, next: Next) -> Response {
    timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
        Problem::new(StatusCode::REQUEST_TIMEOUT, format!("the request took longer than {limit:?}")).into_response()
    })
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        future::pending,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use axum::{
        body::Body,
        routing::{get, post},
    };
    use futures_util::stream;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::Notify,
        time::Instant,
    };
    use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

    use super::*;

    /// Longer than any limit. The clock stands still in these tests and jumps when nothing else can happen, so this
    /// costs no time.
    const LONG: Duration = Duration::from_hours(1);

    struct Server {
        address: SocketAddr,
        stop: CancellationToken,
        served: AbortOnDropHandle<()>,
    }

    impl Server {
        async fn start(limits: HttpLimits, router: Router) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let stop = CancellationToken::new();
            let serving = serve(limits, listener, router, stop.clone().cancelled_owned());
            Self { address, stop, served: AbortOnDropHandle::new(tokio::spawn(serving)) }
        }

        async fn says(&self, request: &str) -> TcpStream {
            let mut client = TcpStream::connect(self.address).await.unwrap();
            client.write_all(request.as_bytes()).await.unwrap();
            client
        }
    }

    /// What the server answers until it closes the connection; `None` when it doesn't.
    async fn rest(client: &mut TcpStream) -> Option<String> {
        let mut answer = String::new();
        timeout(LONG, client.read_to_string(&mut answer)).await.ok()?.unwrap();
        Some(answer)
    }

    const GET: &str = "GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_end_is_not_waited_for() {
        let server = Server::start(HttpLimits::default(), Router::new().route("/", get(|| async { "ok" }))).await;
        for head in ["", "GET / HTTP/1.1\r\nhost: he"] {
            assert_eq!(rest(&mut server.says(head).await).await.as_deref(), Some(""), "{head:?}");
        }
        assert!(rest(&mut server.says(GET).await).await.unwrap().ends_with("ok"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_is_not_waited_for() {
        let router = Router::new().route("/", post(|body: String| async move { body }));
        let server = Server::start(HttpLimits::default(), router).await;
        let mut client = server.says("POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 3\r\n\r\na").await;
        let answer = rest(&mut client).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("longer than 30s"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_too_long_is_refused() {
        let router = Router::new().route("/", post(|body: String| async move { body }));
        let server = Server::start(HttpLimits::default(), router).await;
        let length = BODY_MAX + 1;
        let request = format!(
            "POST / HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{}",
            "a".repeat(length)
        );
        let answer = rest(&mut server.says(&request).await).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn connections_beyond_the_limit_wait_until_one_ends() {
        let (begun, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let held = {
            let (begun, gate) = (Arc::clone(&begun), Arc::clone(&gate));
            move || async move {
                begun.fetch_add(1, Ordering::Relaxed);
                gate.notified().await;
                "ok"
            }
        };
        let limits = HttpLimits { connections_max: 2, request_timeout: 10 * LONG, ..HttpLimits::default() };
        let server = Server::start(limits, Router::new().route("/", get(held))).await;
        let mut clients = [server.says(GET).await, server.says(GET).await, server.says(GET).await];
        assert_eq!(rest(&mut clients[2]).await, None);
        assert_eq!(begun.load(Ordering::Relaxed), 2);
        for _ in &clients {
            gate.notify_one();
        }
        for client in &mut clients {
            assert!(rest(client).await.unwrap().ends_with("ok"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_goes_on_however_long_it_takes() {
        let ticks = || async {
            Body::from_stream(stream::unfold(0, |tick| async move {
                tokio::time::sleep(LONG / 10).await;
                (tick < 5).then(|| (Ok::<_, Infallible>(format!("tick {tick}")), tick + 1))
            }))
        };
        let server = Server::start(HttpLimits::default(), Router::new().route("/", get(ticks))).await;
        let answer = rest(&mut server.says(GET).await).await.unwrap();
        assert!(answer.contains("tick 4"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_closes_what_is_idle_and_answers_what_is_under_way() {
        let gate = Arc::new(Notify::new());
        let (begun, opened) = (Arc::new(Notify::new()), Arc::clone(&gate));
        let started = Arc::clone(&begun);
        let held = move || async move {
            started.notify_one();
            opened.notified().await;
            "ok"
        };
        let server = Server::start(HttpLimits::default(), Router::new().route("/", get(held))).await;
        let mut idle = server.says("").await;
        let mut busy = server.says(GET).await;
        begun.notified().await;
        server.stop.cancel();
        assert_eq!(rest(&mut idle).await.as_deref(), Some(""));
        gate.notify_one();
        assert!(rest(&mut busy).await.unwrap().ends_with("ok"));
        server.served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_cuts_off_what_takes_too_long() {
        let begun = Arc::new(Notify::new());
        let started = Arc::clone(&begun);
        let held = move || async move {
            started.notify_one();
            pending::<()>().await;
        };
        let server = Server::start(HttpLimits::default(), Router::new().route("/", get(held))).await;
        let mut busy = server.says(GET).await;
        begun.notified().await;
        let asked = Instant::now();
        server.stop.cancel();
        server.served.await.unwrap();
        assert_eq!(asked.elapsed().as_secs(), HTTP_PATIENCE.as_secs());
        assert_eq!(rest(&mut busy).await.as_deref(), Some(""));
    }
}
