//! Answers in pieces, and Lambda's operation `InvokeWithResponseStream`, which sends them as frames of an event stream.
//! Holds one piece at a time, whatever the function sends and however slowly the caller reads.
//! Source: the operation in AWS's API model of Lambda (botocore, `lambda/2015-03-31`).

use super::call::{End, FunctionError, Part, Reply, ReplyBody, Whole};
use super::invoke::{
    Answer, Body, BrokenOff, LogType, respond, response_too_large, set, set_served,
};
use crate::aws::frame::encode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use http::StatusCode;
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Map, Value};
use tokio::sync::mpsc::Receiver;

/// The most bytes of a streamed response.
/// Source: the member `InvokeMode` of the shape `FunctionUrlConfig` in the same model: 200 MB.
const STREAM_BYTES_MAX: usize = 200 << 20;

/// The most bytes that are sent as one. Clients refuse frames of more than 24 MiB, and have to hold each of them.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// A response in pieces, with its end.
#[derive(Debug)]
pub(super) struct Pieces {
    parts: Option<Receiver<Part>>,
    pending: Bytes,
    end: Option<End>,
    left: usize,
}

impl Pieces {
    /// Those of a response that is there.
    fn of(whole: Whole) -> Self {
        let (pending, error) = match whole.result {
            Ok(bytes) => (bytes, None),
            Err(error) => (Bytes::new(), Some(error)),
        };
        let end = End {
            error,
            log: whole.log,
        };
        Self {
            parts: None,
            pending,
            end: Some(end),
            left: 0,
        }
    }

    /// Those of a response that arrives, of which `first` has already arrived.
    pub(super) fn arriving(parts: Receiver<Part>, first: Bytes) -> Self {
        Self::within(STREAM_BYTES_MAX, parts, first)
    }

    fn within(left: usize, parts: Receiver<Part>, first: Bytes) -> Self {
        let mut pieces = Self {
            parts: Some(parts),
            pending: Bytes::new(),
            end: None,
            left,
        };
        pieces.accept(first);
        pieces
    }

    /// The next piece, none of them empty; [`Part::End`] is the last.
    pub(super) async fn next(&mut self) -> Option<Part> {
        loop {
            if !self.pending.is_empty() {
                let length = self.pending.len().min(PIECE_BYTES_MAX);
                return Some(Part::Chunk(self.pending.split_to(length)));
            }
            if let Some(end) = self.end.take() {
                self.parts = None;
                return Some(Part::End(end));
            }
            let part = self.parts.as_mut()?.recv().await;
            match part {
                Some(Part::Chunk(chunk)) => self.accept(chunk),
                Some(Part::End(end)) => self.end = Some(end),
                None => {
                    self.end = Some(failed(FunctionError::new(
                        "Runtime.TruncatedResponse",
                        "the response broke off",
                    )))
                }
            }
        }
    }

    fn accept(&mut self, mut chunk: Bytes) {
        if chunk.len() > self.left {
            chunk.truncate(self.left);
            self.end = Some(failed(response_too_large(STREAM_BYTES_MAX)));
            // Whoever sends learns so that nobody listens any more.
            self.parts = None;
        }
        self.left -= chunk.len();
        self.pending = chunk;
    }
}

fn failed(error: FunctionError) -> End {
    End {
        error: Some(error),
        log: Bytes::new(),
    }
}

/// Sends an answer as frames: `PayloadChunk` as often as needed, then `InvokeComplete`. The status is 200 whatever the
/// function does, since it is sent before anybody knows.
pub(super) fn streamed(reply: Reply, log: LogType, request_id: &str) -> Answer {
    let pieces = match reply.body {
        ReplyBody::Whole(whole) => Pieces::of(whole),
        // What the runtime says of its bytes has no place in the frames, and the header says what the frames are.
        ReplyBody::Streamed { parts, .. } => Pieces::arriving(parts, Bytes::new()),
    };
    let mut answer = respond(StatusCode::OK, frames(pieces, log), request_id);
    let headers = answer.headers_mut();
    set(
        headers,
        "content-type",
        "application/vnd.amazon.eventstream",
    );
    set_served(headers, &reply.served);
    answer
}

fn frames(pieces: Pieces, log: LogType) -> Body {
    let frames = unfold(pieces, move |mut pieces| async move {
        let frame = match pieces.next().await? {
            Part::Chunk(bytes) => encode("PayloadChunk", "application/octet-stream", bytes),
            Part::End(end) => encode("InvokeComplete", "application/json", complete(&end, log)),
        };
        Some((frame.map(Frame::data).map_err(|_| BrokenOff), pieces))
    });
    Body::new(StreamBody::new(frames.fuse()))
}

/// The members of `InvokeWithResponseStreamCompleteEvent`.
fn complete(end: &End, log: LogType) -> Bytes {
    let mut members = Map::new();
    if let Some(error) = &end.error {
        let details = String::from_utf8_lossy(&error.document);
        members.insert("ErrorCode".to_owned(), error.kind.as_str().into());
        members.insert("ErrorDetails".to_owned(), details.into());
    }
    if log == LogType::Tail {
        members.insert("LogResult".to_owned(), STANDARD.encode(&end.log).into());
    }
    Value::Object(members).to_string().into()
}

#[cfg(test)]
mod tests {
    use super::super::call::Served;
    use super::*;
    use crate::aws::frame::Frames;
    use http_body_util::BodyExt as _;
    use tokio::sync::mpsc;

    /// The frames of an answer: the kind of each event and its bytes.
    async fn events(answer: Answer) -> Vec<(String, Bytes)> {
        let mut frames = Frames::default();
        frames.push(&answer.into_body().collect().await.unwrap().to_bytes());
        let mut events = Vec::new();
        while let Some(frame) = frames.frame().unwrap() {
            assert_eq!(frame.kind, "event");
            events.push((frame.name, frame.payload));
        }
        events
    }

    fn payload(events: &[(String, Bytes)]) -> Vec<u8> {
        let chunks = events.iter().filter(|(event, _)| event == "PayloadChunk");
        chunks.flat_map(|(_, bytes)| bytes.to_vec()).collect()
    }

    fn completion(events: &[(String, Bytes)]) -> Value {
        let (event, bytes) = events.last().unwrap();
        assert_eq!(event, "InvokeComplete");
        serde_json::from_slice(bytes).unwrap()
    }

    fn reply(body: ReplyBody) -> Reply {
        let served = Served {
            version: "41".to_owned(),
            release: Some("3f2a91c0".to_owned()),
        };
        Reply { served, body }
    }

    fn whole(result: Result<Bytes, FunctionError>) -> Reply {
        reply(ReplyBody::Whole(Whole {
            result,
            content_type: None,
            log: Bytes::from_static(b"START\n"),
        }))
    }

    fn arriving(parts: Vec<Part>) -> Reply {
        let (sender, receiver) = mpsc::channel(parts.len().max(1));
        for part in parts {
            sender.try_send(part).unwrap();
        }
        reply(ReplyBody::Streamed {
            content_type: Some("text/plain".to_owned()),
            parts: receiver,
        })
    }

    fn chunk(bytes: &'static [u8]) -> Part {
        Part::Chunk(Bytes::from_static(bytes))
    }

    #[tokio::test]
    async fn a_streamed_answer_says_what_served_it_and_what_its_frames_are() {
        let answer = streamed(whole(Ok("{}".into())), LogType::None, "id-1");
        assert_eq!(answer.status(), StatusCode::OK);
        for (name, expected) in [
            ("content-type", "application/vnd.amazon.eventstream"),
            ("x-amz-executed-version", "41"),
            ("x-crunchbox-release", "3f2a91c0"),
            ("x-amzn-requestid", "id-1"),
        ] {
            assert_eq!(answer.headers()[name], expected);
        }
        let events = events(answer).await;
        assert_eq!(payload(&events), b"{}");
        assert_eq!(completion(&events), serde_json::json!({}));
    }

    #[tokio::test]
    async fn the_log_comes_with_the_end_for_those_who_want_it() {
        let events = events(streamed(whole(Ok("1".into())), LogType::Tail, "id")).await;
        assert_eq!(
            completion(&events),
            serde_json::json!({"LogResult": "U1RBUlQK"})
        );
    }

    #[tokio::test]
    async fn a_long_answer_is_sent_in_frames_that_clients_can_hold() {
        let long = Bytes::from(vec![7; 3 * PIECE_BYTES_MAX + 1]);
        for reply in [
            whole(Ok(long.clone())),
            arriving(vec![Part::Chunk(long.clone()), Part::End(End::default())]),
        ] {
            let events = events(streamed(reply, LogType::None, "id")).await;
            assert_eq!(events.len(), 5);
            assert_eq!(payload(&events), long);
        }
    }

    #[tokio::test]
    async fn a_failure_is_told_at_the_end_with_its_document() {
        let error = FunctionError::new("Sandbox.Timedout", "too \"long\"");
        let parts = vec![
            chunk(b"so far"),
            Part::End(End {
                error: Some(error.clone()),
                log: Bytes::new(),
            }),
        ];
        for (reply, so_far) in [
            (whole(Err(error)), &b""[..]),
            (arriving(parts), &b"so far"[..]),
        ] {
            let events = events(streamed(reply, LogType::None, "id")).await;
            assert_eq!(payload(&events), so_far);
            let complete = completion(&events);
            assert_eq!(complete["ErrorCode"], "Sandbox.Timedout");
            let details: Value =
                serde_json::from_str(complete["ErrorDetails"].as_str().unwrap()).unwrap();
            assert_eq!(details["errorMessage"], "too \"long\"");
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_not_taken_for_whole() {
        let events = events(streamed(
            arriving(vec![chunk(b"half")]),
            LogType::None,
            "id",
        ))
        .await;
        assert_eq!(payload(&events), b"half");
        assert_eq!(
            completion(&events)["ErrorCode"],
            "Runtime.TruncatedResponse"
        );
    }

    #[tokio::test]
    async fn empty_parts_are_no_frames_and_what_follows_the_end_is_nothing() {
        let parts = vec![
            chunk(b""),
            chunk(b"a"),
            chunk(b""),
            Part::End(End::default()),
            chunk(b"late"),
        ];
        let events = events(streamed(arriving(parts), LogType::None, "id")).await;
        assert_eq!(events.len(), 2);
        assert_eq!(payload(&events), b"a");
    }

    #[tokio::test]
    async fn a_response_beyond_the_limit_is_cut_and_its_sender_let_go() {
        let (sender, parts) = mpsc::channel(4);
        sender.try_send(chunk(b"456")).unwrap();
        sender.try_send(chunk(b"789")).unwrap();
        let mut pieces = Pieces::within(7, parts, Bytes::from_static(b"123"));
        let mut bytes = Vec::new();
        let end = loop {
            match pieces.next().await {
                Some(Part::Chunk(piece)) => bytes.extend_from_slice(&piece),
                Some(Part::End(end)) => break end,
                None => panic!("an answer without an end"),
            }
        };
        assert_eq!(bytes, b"1234567");
        assert_eq!(end.error.unwrap().kind, "Function.ResponseSizeTooLarge");
        assert!(sender.is_closed());
        assert!(pieces.next().await.is_none());
    }

    #[tokio::test]
    async fn a_piece_is_sent_before_the_next_is_there() {
        let (sender, parts) = mpsc::channel(1);
        let body = ReplyBody::Streamed {
            content_type: None,
            parts,
        };
        let mut body = streamed(reply(body), LogType::None, "id").into_body();
        for bytes in [&b"first"[..], b"second"] {
            sender.try_send(chunk(bytes)).unwrap();
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            let mut frames = Frames::default();
            frames.push(&frame);
            assert_eq!(frames.frame().unwrap().unwrap().payload, bytes);
        }
        drop(body);
        assert!(sender.is_closed());
    }
}
