//! TLS as PostgreSQL begins it: the host asks the server for it, and tells a guest that asks, too, that there is none.

use super::Stream;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

const REQUEST_BYTES: usize = 8;

/// How PostgreSQL asks for TLS: length 8 and the number 80877103.
/// Source: <https://www.postgresql.org/docs/current/protocol-message-formats.html>, `SSLRequest`.
const SSL_REQUEST: [u8; REQUEST_BYTES] = [0, 0, 0, 8, 4, 210, 22, 47];

/// The same for encryption by Kerberos: 80877104, `GSSENCRequest` there.
const GSS_REQUEST: [u8; REQUEST_BYTES] = [0, 0, 0, 8, 4, 210, 22, 48];

/// "Not that, go on in plain text", to either.
const NO: u8 = b'N';

/// Why the server will not go on by TLS.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("the server speaks no TLS: turn `ssl` on there, or grant it without `tls`")]
    NoTls,
    #[error("the server's answer is not PostgreSQL's")]
    Foreign,
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// Asks a server for TLS. It answers with one byte, and says nothing more before the handshake: what came in plain text could
/// be anybody's.
pub(super) async fn ask(stream: &mut TcpStream) -> Result<(), Refused> {
    stream.write_all(&SSL_REQUEST).await?;
    match stream.read_u8().await? {
        b'S' => Ok(()),
        NO => Err(Refused::NoTls),
        _ => Err(Refused::Foreign),
    }
}

/// A connection on which the host has begun TLS, for a driver that asks for it before all else, as most do: it hears "no"
/// from us, and goes on in plain text. The server, asked once more, would end the connection.
pub(super) struct Answered<S> {
    stream: S,
    /// What came of a request; before anything else has come.
    asking: Option<Vec<u8>>,
    /// What was taken from the guest and turned out to be no request.
    unsent: Vec<u8>,
    /// Answers that the guest has yet to read.
    answers: usize,
    reader: Option<Waker>,
}

impl<S> Answered<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            asking: Some(Vec::new()),
            unsent: Vec::new(),
            answers: 0,
            reader: None,
        }
    }

    /// Takes what may be of a request, and says how much; nothing, once the guest has begun with something else.
    fn sift(&mut self, bytes: &[u8]) -> usize {
        let Some(asked) = &mut self.asking else {
            return 0;
        };
        let before = asked.len();
        asked.extend(bytes.iter().take(REQUEST_BYTES - before));
        let taken = asked.len() - before;
        if [SSL_REQUEST, GSS_REQUEST].contains(&asked[..].try_into().unwrap_or_default()) {
            asked.clear();
            self.answers += 1;
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
            return taken;
        }
        if SSL_REQUEST.starts_with(asked) || GSS_REQUEST.starts_with(asked) {
            return taken;
        }
        asked.truncate(before);
        self.unsent = self.asking.take().unwrap_or_default();
        0
    }
}

impl<S: Stream> Answered<S> {
    fn send_unsent(&mut self, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(ctx, &self.unsent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncRead for Answered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.answers > 0 && buffer.remaining() > 0 {
            self.answers -= 1;
            buffer.put_slice(&[NO]);
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.stream).poll_read(ctx, buffer);
        if read.is_pending() && self.asking.is_some() {
            self.reader = Some(ctx.waker().clone());
        }
        read
    }
}

impl<S: Stream> AsyncWrite for Answered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = self.sift(bytes);
        if taken > 0 {
            return Poll::Ready(Ok(taken));
        }
        ready!(self.send_unsent(ctx))?;
        Pin::new(&mut self.stream).poll_write(ctx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send_unsent(ctx))?;
        Pin::new(&mut self.stream).poll_flush(ctx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(asked) = self.asking.take() {
            self.unsent = asked;
        }
        ready!(self.send_unsent(ctx))?;
        Pin::new(&mut self.stream).poll_shutdown(ctx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{DuplexStream, duplex, split};

    /// The guest's end, and the server's.
    fn connected() -> (Answered<DuplexStream>, DuplexStream) {
        let (ours, servers) = duplex(64);
        (Answered::new(ours), servers)
    }

    async fn read<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> [u8; N] {
        let mut bytes = [0; N];
        stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn whoever_asks_for_encryption_is_told_no_and_the_server_hears_nothing_of_it() {
        let (mut guest, mut server) = connected();
        for request in [GSS_REQUEST, SSL_REQUEST] {
            guest.write_all(&request).await.unwrap();
            assert_eq!(read(&mut guest).await, [NO]);
        }
        guest.write_all(b"\0\0\0\x09startup").await.unwrap();
        assert_eq!(&read::<11>(&mut server).await, b"\0\0\0\x09startup");
        server.write_all(b"R").await.unwrap();
        assert_eq!(&read(&mut guest).await, b"R");
    }

    #[tokio::test]
    async fn a_request_may_come_byte_by_byte_and_with_what_follows_it() {
        let (mut guest, mut server) = connected();
        for byte in SSL_REQUEST {
            guest.write_all(&[byte]).await.unwrap();
        }
        let mut all = SSL_REQUEST.to_vec();
        all.extend(b"startup");
        guest.write_all(&all).await.unwrap();
        assert_eq!(read(&mut guest).await, [NO, NO]);
        assert_eq!(&read::<7>(&mut server).await, b"startup");
    }

    #[tokio::test]
    async fn what_only_begins_like_a_request_passes_whole() {
        let (mut guest, mut server) = connected();
        guest.write_all(&SSL_REQUEST[..5]).await.unwrap();
        guest.write_all(b"else").await.unwrap();
        assert_eq!(&read::<9>(&mut server).await, b"\0\0\0\x08\x04else");

        let (mut guest, mut server) = connected();
        guest.write_all(&SSL_REQUEST[..7]).await.unwrap();
        guest.shutdown().await.unwrap();
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, SSL_REQUEST[..7]);
    }

    #[tokio::test]
    async fn after_anything_else_a_request_is_the_servers_own() {
        let (mut guest, mut server) = connected();
        guest.write_all(b"Q").await.unwrap();
        guest.write_all(&SSL_REQUEST).await.unwrap();
        assert_eq!(read::<1>(&mut server).await, *b"Q");
        assert_eq!(read(&mut server).await, SSL_REQUEST);
    }

    #[tokio::test]
    async fn whoever_waits_for_the_answer_already_is_woken() {
        let (guest, _server) = connected();
        let (mut reader, mut writer) = split(guest);
        let waiting = tokio::spawn(async move { read(&mut reader).await });
        // On one thread this lets the reader begin to wait.
        tokio::task::yield_now().await;
        writer.write_all(&SSL_REQUEST).await.unwrap();
        assert_eq!(waiting.await.unwrap(), [NO]);
    }
}
