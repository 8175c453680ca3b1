//! The two directions of a connection as streams of a guest. Not wasmtime's `AsyncReadStream` and `AsyncWriteStream`: those
//! drop what was written when the guest lets go of the stream, and leave the end of it in TLS unless it is flushed, which
//! a libc never asks for.

use super::work::{Work, no_waiting};
use crate::meter::{Kind, Meter};
use crate::network::Stream;
use bytes::{Bytes, BytesMut};
use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

/// Bytes taken from or given to a connection at once: what wasmtime's own streams take.
const AT_ONCE: usize = 64 << 10;

/// How long a guest that lets go waits for its last bytes to leave. They do at once, unless the other end has stopped
/// reading.
const LAST_BYTES_TIME: Duration = Duration::from_secs(2);

/// Both directions of a connection.
pub(super) fn streams(connection: Box<dyn Stream>, meter: &Meter) -> (Input, Output) {
    let (reader, writer) = tokio::io::split(connection);
    let input = Reading {
        reader: Some(reader),
        buffer: BytesMut::new(),
        failure: None,
        meter: meter.clone(),
    };
    let output = Writing {
        state: State::Open(writer),
        is_ending: false,
        meter: meter.clone(),
    };
    (
        Input(Arc::new(Mutex::new(input))),
        Output(Arc::new(Mutex::new(output))),
    )
}

/// What comes from the other end. Clones share it: the guest reads one, its socket closes another.
#[derive(Clone)]
pub(super) struct Input(Arc<Mutex<Reading>>);

struct Reading {
    /// None when there is no more to come.
    reader: Option<ReadHalf<Box<dyn Stream>>>,
    buffer: BytesMut,
    failure: Option<io::Error>,
    meter: Meter,
}

impl Reading {
    /// Takes what is there, unless the guest has not read the last of it.
    fn poll_fill(&mut self, ctx: &mut Context<'_>) -> Poll<()> {
        let Some(reader) = &mut self.reader else {
            return Poll::Ready(());
        };
        if !self.buffer.is_empty() {
            return Poll::Ready(());
        }
        self.buffer.reserve(AT_ONCE);
        let read = pin!(reader.read_buf(&mut self.buffer)).poll(ctx);
        match ready!(read) {
            Ok(0) => self.reader = None,
            Ok(_) => {}
            Err(error) => {
                self.reader = None;
                self.failure = Some(error);
            }
        }
        Poll::Ready(())
    }

    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let waits = self.poll_fill(&mut no_waiting()).is_pending();
        if !self.buffer.is_empty() {
            let bytes = self.buffer.split_to(size.min(self.buffer.len()));
            self.meter.received(Kind::Tcp, bytes.len());
            return Ok(bytes.freeze());
        }
        match self.failure.take() {
            Some(error) => Err(StreamError::LastOperationFailed(error.into())),
            None if waits => Ok(Bytes::new()),
            None => Err(StreamError::Closed),
        }
    }
}

impl Input {
    /// Reads no more, and forgets what came.
    pub(super) fn close(&self) {
        let mut reading = lock(&self.0);
        reading.reader = None;
        reading.buffer = BytesMut::new();
        reading.failure = None;
    }
}

#[async_trait::async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        lock(&self.0).read(size)
    }
}

#[async_trait::async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        poll_fn(|ctx| lock(&self.0).poll_fill(ctx)).await;
    }
}

type Writer = WriteHalf<Box<dyn Stream>>;

/// What goes to the other end. Clones share it: the guest writes to one, its socket ends another.
#[derive(Clone)]
pub(super) struct Output(Arc<Mutex<Writing>>);

struct Writing {
    state: State,
    /// Whether the end is on its way: it is told once, however often a guest asks.
    is_ending: bool,
    meter: Meter,
}

enum State {
    /// Takes bytes.
    Open(Writer),
    /// Sends some, or the end; what it leads to comes next.
    Busy(Box<Work<State>>),
    /// Takes no more; the failure is told once.
    Closed(Option<io::Error>),
}

impl Default for State {
    fn default() -> Self {
        Self::Closed(None)
    }
}

/// Sends bytes all the way: a server should not wait for what only TLS has.
async fn send(mut writer: Writer, mut bytes: Bytes) -> State {
    let sent = async {
        writer.write_all_buf(&mut bytes).await?;
        writer.flush().await
    }
    .await;
    match sent {
        Ok(()) => State::Open(writer),
        Err(error) => State::Closed(Some(error)),
    }
}

/// Says that nothing more comes, in TLS and in TCP.
async fn end(mut writer: Writer) -> State {
    State::Closed(writer.shutdown().await.err())
}

impl Writing {
    /// Goes to the next state if that is reached.
    fn poll_state(&mut self, ctx: &mut Context<'_>) -> Poll<()> {
        if let State::Busy(work) = &mut self.state {
            let next = mem::take(ready!(work.poll(ctx)));
            self.state = next;
        }
        Poll::Ready(())
    }

    /// How many bytes may be written.
    fn room(&mut self) -> StreamResult<usize> {
        let _ = self.poll_state(&mut no_waiting());
        match &mut self.state {
            State::Open(_) => Ok(AT_ONCE),
            State::Busy(_) => Ok(0),
            State::Closed(failure) => Err(match failure.take() {
                Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    StreamError::LastOperationFailed(error.into())
                }
                Some(_) | None => StreamError::Closed,
            }),
        }
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > self.room()? {
            return Err(StreamError::trap(
                "expected no more bytes than `check-write` allows",
            ));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        // There is room only where it is open.
        if let State::Open(writer) = mem::take(&mut self.state) {
            self.meter.sent(Kind::Tcp, bytes.len());
            self.state = State::Busy(Box::new(Work::start(send(writer, bytes))));
        }
        Ok(())
    }

    fn end(&mut self) {
        if mem::replace(&mut self.is_ending, true) {
            return;
        }
        let state = mem::take(&mut self.state);
        let ended = async move {
            let state = match state {
                State::Busy(work) => work.finish().await,
                state => state,
            };
            match state {
                State::Open(writer) => end(writer).await,
                state => state,
            }
        };
        self.state = State::Busy(Box::new(Work::start(ended)));
    }
}

impl Output {
    /// Takes no more, sends what was taken, and tells the other end that this is all.
    pub(super) fn end(&self) {
        lock(&self.0).end();
    }

    /// Waits until all that was taken has left, though not for ever.
    pub(super) async fn last_bytes(&self) {
        let left = poll_fn(|ctx| lock(&self.0).poll_state(ctx));
        let _ = tokio::time::timeout(LAST_BYTES_TIME, left).await;
    }
}

#[async_trait::async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        lock(&self.0).write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        // What was written is on its way, and there is no room before it has left.
        lock(&self.0).room().map(|_| ())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        lock(&self.0).room()
    }

    async fn cancel(&mut self) {
        // To the guest they are written.
        self.last_bytes().await;
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        poll_fn(|ctx| lock(&self.0).poll_state(ctx)).await;
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::tests::meter;
    use super::*;
    use tokio::io::DuplexStream;

    /// Less than is ever written, so that writing waits for the other end.
    const NARROW: usize = 16;

    fn connected() -> (Input, Output, DuplexStream, Meter) {
        let (near, far) = tokio::io::duplex(NARROW);
        let meter = meter();
        let (input, output) = streams(Box::new(near), &meter);
        (input, output, far, meter)
    }

    fn bytes(count: usize) -> Bytes {
        vec![7; count].into()
    }

    #[tokio::test]
    async fn what_the_other_end_sends_is_read_in_any_pieces_until_it_ends() {
        let (mut input, _output, mut far, meter) = connected();
        assert!(input.read(8).unwrap().is_empty());
        far.write_all(b"hello").await.unwrap();
        input.ready().await;
        assert_eq!(input.read(2).unwrap(), "he");
        assert_eq!(input.read(8).unwrap(), "llo");
        drop(far);
        input.ready().await;
        assert!(matches!(input.read(8), Err(StreamError::Closed)));
        assert_eq!(meter.account().used().next().unwrap().1.received, 5);
    }

    #[tokio::test]
    async fn a_closed_input_gives_nothing_of_what_came() {
        let (mut input, _output, mut far, _) = connected();
        far.write_all(b"hello").await.unwrap();
        input.ready().await;
        input.close();
        input.ready().await;
        assert!(matches!(input.read(8), Err(StreamError::Closed)));
    }

    #[tokio::test]
    async fn there_is_no_room_until_what_was_written_has_left() {
        let (_input, mut output, mut far, meter) = connected();
        output.write(bytes(3 * NARROW)).unwrap();
        assert_eq!(output.check_write().unwrap(), 0);
        assert!(matches!(output.write(bytes(1)), Err(StreamError::Trap(_))));
        far.read_exact(&mut [0; 3 * NARROW]).await.unwrap();
        output.ready().await;
        assert_eq!(output.check_write().unwrap(), AT_ONCE);
        assert_eq!(meter.account().used().next().unwrap().1.sent, 48);
    }

    #[tokio::test]
    async fn writing_nothing_changes_nothing() {
        let (_input, mut output, mut far, _) = connected();
        output.write(bytes(3 * NARROW)).unwrap();
        output.write(Bytes::new()).unwrap();
        far.read_exact(&mut [0; 3 * NARROW]).await.unwrap();
        output.ready().await;
        assert_eq!(output.check_write().unwrap(), AT_ONCE);
    }

    #[tokio::test]
    async fn what_was_written_leaves_though_the_guest_lets_go() {
        let (input, mut output, mut far, _) = connected();
        output.write(bytes(3 * NARROW)).unwrap();
        let (_, read) = tokio::join!(
            async {
                output.cancel().await;
                drop((input, output));
            },
            async {
                let mut read = Vec::new();
                far.read_to_end(&mut read).await.map(|_| read)
            }
        );
        assert_eq!(read.unwrap(), bytes(3 * NARROW));
    }

    #[tokio::test]
    async fn an_end_comes_after_what_was_written_and_lets_the_guest_read_on() {
        let (mut input, mut output, mut far, _) = connected();
        output.write(bytes(3 * NARROW)).unwrap();
        output.end();
        output.end();
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, bytes(3 * NARROW));
        output.ready().await;
        assert!(matches!(output.check_write(), Err(StreamError::Closed)));
        far.write_all(b"bye").await.unwrap();
        input.ready().await;
        assert_eq!(input.read(8).unwrap(), "bye");
    }

    #[tokio::test]
    async fn writing_to_an_end_that_is_gone_is_told_once() {
        let (_input, mut output, far, _) = connected();
        drop(far);
        output.write(bytes(1)).unwrap();
        output.ready().await;
        assert!(output.check_write().is_err());
        assert!(matches!(output.check_write(), Err(StreamError::Closed)));
    }
}
