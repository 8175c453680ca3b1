//! A socket's options. They are kept and told, not applied: how a connection is held open and buffered is the host's.

use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

/// What a guest set, within what Linux takes: a libc aborts where a value does not fit an `int`.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) keep_alive: bool,
    /// In nanoseconds, as [`Self::interval`].
    pub(super) idle: u64,
    pub(super) interval: u64,
    pub(super) count: u32,
    pub(super) hop_limit: u8,
    /// In bytes, as [`Self::send_buffer`].
    pub(super) receive_buffer: u64,
    pub(super) send_buffer: u64,
}

impl Default for Options {
    /// What Linux says of a new socket.
    fn default() -> Self {
        Self {
            keep_alive: false,
            idle: 7200 * SECOND,
            interval: 75 * SECOND,
            count: 9,
            hop_limit: 64,
            receive_buffer: 128 << 10,
            send_buffer: 128 << 10,
        }
    }
}

/// In nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// The longest that Linux waits between two signs of life: `MAX_TCP_KEEPIDLE` and `MAX_TCP_KEEPINTVL`.
const WAIT_MAX: u64 = 32_767 * SECOND;

/// The most signs of life that Linux lets go unanswered: `MAX_TCP_KEEPCNT`.
const COUNT_MAX: u32 = 127;

/// The largest buffer that an `int` tells.
const BUFFER_MAX: u64 = (1 << 31) - 1;

/// A time between signs of life, in whole seconds at least.
pub(super) fn wait(nanoseconds: u64) -> Result<u64, ErrorCode> {
    Ok(positive(nanoseconds)?.clamp(SECOND, WAIT_MAX))
}

/// A number of signs of life.
pub(super) fn count(value: u32) -> Result<u32, ErrorCode> {
    Ok(positive(value)?.min(COUNT_MAX))
}

/// The size of a buffer.
pub(super) fn buffer(bytes: u64) -> Result<u64, ErrorCode> {
    Ok(positive(bytes)?.min(BUFFER_MAX))
}

/// Any number but 0, which no option takes.
pub(super) fn positive<N: Default + PartialEq>(value: N) -> Result<N, ErrorCode> {
    if value == N::default() {
        return Err(ErrorCode::InvalidArgument);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_within_what_a_libc_can_tell() {
        assert_eq!(wait(1), Ok(SECOND));
        assert_eq!(wait(u64::MAX), Ok(WAIT_MAX));
        assert_eq!(count(u32::MAX), Ok(COUNT_MAX));
        assert_eq!(buffer(u64::MAX), Ok(BUFFER_MAX));
        assert_eq!(positive(255_u8), Ok(255));
    }

    #[test]
    fn nothing_is_no_value_of_any_option() {
        let refused = Err(ErrorCode::InvalidArgument);
        assert_eq!((wait(0), buffer(0)), (refused, refused));
        assert_eq!(count(0), Err(ErrorCode::InvalidArgument));
        assert_eq!(positive(0_u8), Err(ErrorCode::InvalidArgument));
    }
}
