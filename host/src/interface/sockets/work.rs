//! Something that goes on beside the guest, which asks for it and comes back for what it led to.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

/// Work that goes on, or what came of it. It stops when this is dropped.
#[derive(Debug)]
pub(super) enum Work<T> {
    Going(AbortOnDropJoinHandle<T>),
    Done(T),
}

impl<T: Send + 'static> Work<T> {
    /// Begins; what needs no waiting is done at once, without a task.
    pub(super) fn start(work: impl Future<Output = T> + Send + 'static) -> Self {
        let mut work = Box::pin(work);
        match work.as_mut().poll(&mut no_waiting()) {
            Poll::Ready(done) => Self::Done(done),
            Poll::Pending => Self::Going(spawn(work)),
        }
    }

    pub(super) fn poll(&mut self, ctx: &mut Context<'_>) -> Poll<&mut T> {
        if let Self::Going(going) = self {
            let done = ready!(Pin::new(going).poll(ctx));
            *self = Self::Done(done);
        }
        match self {
            Self::Done(done) => Poll::Ready(done),
            Self::Going(_) => Poll::Pending,
        }
    }

    /// Waits for the end.
    pub(super) async fn ready(&mut self) {
        poll_fn(|ctx| self.poll(ctx).map(|_| ())).await;
    }

    /// Waits for the end, and takes what came of it.
    pub(super) async fn finish(self) -> T {
        match self {
            Self::Going(going) => going.await,
            Self::Done(done) => done,
        }
    }
}

/// For a look at something that nobody waits for; whoever does wait looks again.
pub(super) fn no_waiting() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
