//! Frames of AWS's event stream: made, and read out of bytes that are split anywhere. Knows nothing of what they say.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder, write_message_to};
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::{Bytes, BytesMut};

/// The longest frame, as AWS's own clients bound it: 24 MiB of payload, 128 KiB of headers, and what frames them.
/// Source: `_MAX_PAYLOAD_LENGTH` and `_MAX_HEADERS_LENGTH` in botocore's `eventstream.py`.
const FRAME_BYTES_MAX: usize = (24 << 20) + (128 << 10) + 16;

/// One frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its `:message-type`: `event`, `exception` or `error`.
    pub(crate) kind: String,
    /// Its `:event-type`, `:exception-type` or `:error-code`.
    pub(crate) name: String,
    /// Its `:error-message`.
    pub(crate) words: Option<String>,
    /// Its bytes.
    pub(crate) payload: Bytes,
}

/// Takes bytes and gives frames.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    decoder: MessageFrameDecoder,
    waiting: BytesMut,
}

impl Frames {
    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next frame, once all of it is there.
    ///
    /// # Errors
    /// What is wrong with it; nothing that follows is of use then.
    pub(crate) fn frame(&mut self) -> Result<Option<Frame>, String> {
        let decoded = self.decoder.decode_frame(&mut self.waiting);
        let message = match decoded.map_err(|error| error.to_string())? {
            DecodedFrame::Complete(message) => message,
            DecodedFrame::Incomplete if self.waiting.len() > FRAME_BYTES_MAX => {
                return Err(format!("a frame is longer than {FRAME_BYTES_MAX} bytes"));
            }
            DecodedFrame::Incomplete => return Ok(None),
        };
        let header = |wanted: &str| {
            let mut headers = message.headers().iter();
            let header = headers.find(|header| header.name().as_str() == wanted)?;
            let text = header.value().as_string().ok()?;
            Some(text.as_str().to_owned())
        };
        let name = [":event-type", ":exception-type", ":error-code"]
            .into_iter()
            .find_map(header);
        Ok(Some(Frame {
            kind: header(":message-type").unwrap_or_default(),
            name: name.unwrap_or_default(),
            words: header(":error-message"),
            payload: message.payload().clone(),
        }))
    }
}

/// Frames as AWS's rules make them, for tests: made with another program than the one that reads them here.
/// Room for a frame's lengths, checksums and headers.
const FRAME_ROOM: usize = 128;

/// An event as a frame.
///
/// # Errors
/// What is wrong with it; nothing of less than 16 MiB.
pub(crate) fn encode(
    event: &'static str,
    content_type: &'static str,
    payload: Bytes,
) -> Result<Bytes, String> {
    let header = |name: &'static str, value: &'static str| {
        Header::new(name, HeaderValue::String(value.into()))
    };
    let mut frame = Vec::with_capacity(payload.len() + FRAME_ROOM);
    let message = Message::new(payload)
        .add_header(header(":event-type", event))
        .add_header(header(":content-type", content_type))
        .add_header(header(":message-type", "event"));
    write_message_to(&message, &mut frame).map_err(|error| error.to_string())?;
    Ok(frame.into())
}

#[cfg(test)]
pub(crate) mod sample {
    /// An event `PayloadChunk` of the bytes `{"a":1}`.
    pub(crate) const CHUNK: &[u8] =
        b"\0\0\0\x71\0\0\0\x5a\x2a\x2e\xae\xfc\x0d:message-type\x07\0\x05event\
        \x0b:event-type\x07\0\x0cPayloadChunk\x0d:content-type\x07\0\x18application/octet-stream\
        {\"a\":1}\x0d\x1c\x92\x38";

    /// An event `InvokeComplete` of the bytes `{"ErrorCode":"NoReadings"}`.
    pub(crate) const FAILED: &[u8] =
        b"\0\0\0\x7e\0\0\0\x54\x4f\xc6\x14\x2a\x0d:message-type\x07\0\x05event\
        \x0b:event-type\x07\0\x0eInvokeComplete\x0d:content-type\x07\0\x10application/json\
        {\"ErrorCode\":\"NoReadings\"}\xb1\x84\xe3\x8e";

    /// An exception `ServiceException` of the bytes `{"Message":"x"}`.
    pub(crate) const EXCEPTION: &[u8] =
        b"\0\0\0\x5c\0\0\0\x3d\xc0\xa9\xb1\xb2\x0d:message-type\x07\0\x09exception\
        \x0f:exception-type\x07\0\x10ServiceException{\"Message\":\"x\"}\xe9\x13\x62\x76";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_wherever_their_bytes_are_split() {
        let bytes = [sample::CHUNK, sample::EXCEPTION].concat();
        for size in [1, 11, 13, 100, bytes.len()] {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for part in bytes.chunks(size) {
                frames.push(part);
                while let Some(frame) = frames.frame().unwrap() {
                    found.push((frame.kind, frame.name, frame.payload));
                }
            }
            let event = ("event".to_owned(), "PayloadChunk".to_owned());
            let exception = ("exception".to_owned(), "ServiceException".to_owned());
            assert_eq!(
                found,
                [
                    (event.0, event.1, Bytes::from_static(b"{\"a\":1}")),
                    (
                        exception.0,
                        exception.1,
                        Bytes::from_static(b"{\"Message\":\"x\"}")
                    ),
                ],
                "in parts of {size}"
            );
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let mut damaged = sample::CHUNK.to_vec();
        damaged[100] ^= 1;
        for bytes in [
            &b"<html><body>502 Bad Gateway</body></html>"[..],
            &damaged[..],
        ] {
            let mut frames = Frames::default();
            let mut refused = false;
            // What is no length may ask for more than there is.
            for _ in 0..=FRAME_BYTES_MAX / (1 << 20) + 1 {
                frames.push(bytes);
                frames.push(&[b' '; 1 << 20]);
                refused |= frames.frame().is_err();
            }
            assert!(refused);
        }
    }
}
