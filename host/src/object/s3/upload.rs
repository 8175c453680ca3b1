//! An object on its way into S3: a small one in one request, a longer one in parts, which S3 puts together when it is finished
//! and throws away when it is given up.

use super::Target;
use crate::aws::s3::{Trouble, trouble};
use crate::object::{ObjectError, Sink};
use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// The size of all parts but the last: the least that S3 takes, since memory is dear here. Of 10,000 parts it makes an
/// object of 48 GiB.
const PART_BYTES: usize = 5 << 20;

pub(super) struct Upload {
    target: Target,
    /// None when it is finished, or an error ended it.
    state: Option<State>,
}

#[derive(Default)]
struct State {
    /// Bytes that no part has yet.
    held: Vec<u8>,
    /// Whoever sends parts, once there is more than one.
    parts: Option<mpsc::Sender<Part>>,
}

impl Upload {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            state: Some(State::default()),
        }
    }
}

#[async_trait]
impl Sink for Upload {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), ObjectError> {
        // Taken out: after an error, or at the end of the event, it is gone, and with it what was sent.
        let Some(mut state) = self.state.take() else {
            return Err(ObjectError::over(&self.target.at()));
        };
        while !bytes.is_empty() {
            // Only when there is more, so that a part is never the last by accident.
            if state.held.len() == PART_BYTES {
                state.send(&self.target, Order::More).await?;
            }
            let room = bytes.len().min(PART_BYTES - state.held.len());
            state.held.extend_from_slice(&bytes.split_to(room));
        }
        self.state = Some(state);
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), ObjectError> {
        let Some(mut state) = self.state.take() else {
            return Err(ObjectError::over(&self.target.at()));
        };
        if state.parts.is_some() {
            return state.send(&self.target, Order::Last).await;
        }
        let (sending, bytes) = (self.target.clone(), Bytes::from(state.held));
        let sent = async move { sending.whole(bytes).await };
        self.target.run(sent).await
    }
}

impl State {
    /// Has a part sent, and waits until it is there.
    async fn send(&mut self, target: &Target, order: Order) -> Result<(), ObjectError> {
        let parts = self.parts.get_or_insert_with(|| start(target));
        let (done, answer) = oneshot::channel();
        let part = Part {
            bytes: Bytes::from(std::mem::take(&mut self.held)),
            order,
            done,
        };
        let broken = || target.unreachable("the upload was broken off");
        parts.send(part).await.map_err(|_| broken())?;
        answer.await.unwrap_or_else(|_| Err(broken()))
    }
}

/// Which part it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    More,
    Last,
}

struct Part {
    bytes: Bytes,
    order: Order,
    done: oneshot::Sender<Result<(), ObjectError>>,
}

/// Starts a task that outlives the event, since it has to give up what the event leaves unfinished.
fn start(target: &Target) -> mpsc::Sender<Part> {
    let (sender, parts) = mpsc::channel(1);
    target.runtime.spawn(send(target.clone(), parts));
    sender
}

async fn send(target: Target, mut parts: mpsc::Receiver<Part>) {
    let Some(first) = parts.recv().await else {
        return;
    };
    let id = match target.begin().await {
        Ok(id) => id,
        Err(error) => {
            let _ = first.done.send(Err(error));
            return;
        }
    };
    if !target.is_sent(&id, first, parts).await {
        target.give_up(&id).await;
    }
}

impl Target {
    /// Checksums of one kind for the whole and for its parts; S3 refuses an upload that mixes them.
    fn checksum(&self) -> Option<ChecksumAlgorithm> {
        self.checksums.then_some(ChecksumAlgorithm::Crc32)
    }

    async fn whole(&self, bytes: Bytes) -> Result<(), ObjectError> {
        let request = self.client.put_object().bucket(&self.bucket).key(&self.key);
        let sent = request.body(ByteStream::from(bytes)).send().await;
        sent.map(drop).map_err(|error| self.failed(trouble(&error)))
    }

    async fn begin(&self) -> Result<String, ObjectError> {
        let request = self.client.create_multipart_upload().bucket(&self.bucket);
        let request = request
            .key(&self.key)
            .set_checksum_algorithm(self.checksum());
        let begun = request.send().await;
        let begun = begun.map_err(|error| self.failed(trouble(&error)))?;
        let unnamed = || self.failed(Trouble::Unusable("S3 named no upload".to_owned()));
        begun.upload_id.ok_or_else(unnamed)
    }

    /// Sends parts as they come. Whether the object is there in the end.
    async fn is_sent(&self, id: &str, first: Part, mut parts: mpsc::Receiver<Part>) -> bool {
        let (mut part, mut sent) = (first, Vec::new());
        loop {
            let number = i32::try_from(sent.len() + 1).unwrap_or(i32::MAX);
            let answer = tokio::select! {
                answer = self.part(id, number, part.bytes) => answer,
                // Nobody sends another part before the answer: whoever wrote is gone.
                None = parts.recv() => return false,
            };
            let result = match answer {
                Err(error) => Err(error),
                Ok(done) => {
                    sent.push(done);
                    match part.order {
                        Order::More => Ok(()),
                        Order::Last => self.complete(id, std::mem::take(&mut sent)).await,
                    }
                }
            };
            let is_over = result.is_err() || part.order == Order::Last;
            let is_there = is_over && result.is_ok();
            // Who does not wait any more need not know.
            let _ = part.done.send(result);
            if is_over {
                return is_there;
            }
            part = match parts.recv().await {
                Some(next) => next,
                None => return false,
            };
        }
    }

    async fn part(
        &self,
        id: &str,
        number: i32,
        bytes: Bytes,
    ) -> Result<CompletedPart, ObjectError> {
        let request = self.client.upload_part().bucket(&self.bucket);
        let request = request.key(&self.key).upload_id(id).part_number(number);
        let request = request.set_checksum_algorithm(self.checksum());
        let sent = request.body(ByteStream::from(bytes)).send().await;
        let sent = sent.map_err(|error| self.failed(trouble(&error)))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32)
            .build())
    }

    async fn complete(&self, id: &str, parts: Vec<CompletedPart>) -> Result<(), ObjectError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let request = self.client.complete_multipart_upload().bucket(&self.bucket);
        let request = request.key(&self.key).upload_id(id);
        let sent = request.multipart_upload(parts.build()).send().await;
        sent.map(drop).map_err(|error| self.failed(trouble(&error)))
    }

    /// Has S3 throw parts away. If it can't be told so, a rule of the bucket for unfinished uploads does the same later.
    async fn give_up(&self, id: &str) {
        let request = self.client.abort_multipart_upload().bucket(&self.bucket);
        let _ = request.key(&self.key).upload_id(id).send().await;
    }
}
