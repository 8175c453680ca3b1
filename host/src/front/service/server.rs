//! Connections: how many, how slow, how long. Knows HTTP and no path.

use super::Service;
use super::route::route;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// The most connections at once; more wait to be accepted. Each takes a file and some kilobytes.
const CONNECTIONS_MAX: usize = 4_096;

/// How long a client may take for the head of a request, or keep a connection open without one.
const HEAD_TIME: Duration = Duration::from_secs(60);

/// How long a connection on which nothing is answered has left when the service ends.
const HALF_SENT_TIME: Duration = Duration::from_millis(500);

/// How long to wait before the next connection when this process or machine can take none.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers requests until it is told to end; then returns when the last one in flight is answered.
pub(super) async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    mut ending: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // Those that ended are let go of, so that the set does not grow with every connection there ever was.
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            break;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ending.wait_for(|ending| *ending) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (service, ending) = (Arc::clone(&service), ending.clone());
                connections.spawn(async move {
                    connection(stream, service, ending).await;
                    drop(place);
                });
            }
            // Too many open files, most likely: some will be closed.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, service: Arc<Service>, mut ending: watch::Receiver<bool>) {
    let peer = stream.peer_addr().map(|address| address.ip());
    let Ok(peer) = peer else { return };
    // Small answers must not wait for the acknowledgement of the one before.
    let _without = stream.set_nodelay(true);
    let (handling, handled) = watch::channel(0_usize);
    let handling = Arc::new(handling);
    let answer = service_fn(move |request| {
        let (service, handling) = (Arc::clone(&service), Arc::clone(&handling));
        async move {
            handling.send_modify(|count| *count += 1);
            let answer = route(&service, request, peer).await;
            handling.send_modify(|count| *count -= 1);
            answer
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .half_close(true)
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), answer);
    let mut served = std::pin::pin!(served);
    tokio::select! {
        // What a client does wrong on its connection ends that and nothing else.
        _broken = served.as_mut() => return,
        _ = ending.wait_for(|ending| *ending) => served.as_mut().graceful_shutdown(),
    }
    // A request that is half sent would be waited for as long as its client likes.
    let half_sent = async {
        loop {
            tokio::time::sleep(HALF_SENT_TIME).await;
            if *handled.borrow() == 0 {
                break;
            }
        }
    };
    tokio::select! {
        _broken = served => {}
        () = half_sent => {}
    }
}
