//! Where the record of an event goes that the queue is done with, and what it says: AWS's document, in a folder or a
//! bucket. Knows neither how an event is tried nor when it is given up.

use super::call::FunctionError;
use super::error::ServiceError;
use crate::error::Failure;
use crate::front::request_id;
use crate::store::{self, Location, Store, StoreError};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// The waits before a record is written again to a store that did not answer.
const WRITE_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// The parts of a function's Amazon Resource Name without a qualifier, between colons.
const ARN_PARTS: usize = 7;

/// A place for records.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    store: Arc<dyn Store>,
    pauses: [Duration; 2],
}

impl Destination {
    /// The destination at a location. Looks at nothing there: a bucket that is not to be had shows at the first record.
    ///
    /// # Errors
    /// When this build has no back-end for the location.
    pub(crate) async fn open(location: &Location) -> Result<Self, Failure> {
        Ok(Self {
            store: store::open(location).await?,
            pauses: WRITE_PAUSES,
        })
    }

    /// Where it is, as people name it.
    pub(crate) fn location(&self) -> &str {
        self.store.location()
    }

    /// Writes a record under a key of its own, which it returns.
    ///
    /// # Errors
    /// The store's; [`StoreError::Unreachable`] only after the third write without an answer.
    pub(crate) async fn write(&self, record: &Record) -> Result<String, StoreError> {
        let now = Timestamp::now();
        let key = key(&record.function, now, &request_id());
        let document = Bytes::from(record.document(now));
        let mut pauses = self.pauses.iter();
        loop {
            let absent = store::Condition::Absent;
            let put = self.store.put(&key, document.clone(), absent).await;
            match (put, pauses.next()) {
                (Ok(_), _) => return Ok(key),
                // The key is random: what is there was written by the write before, whose answer was lost.
                (Err(StoreError::Conflict { .. }), _) => return Ok(key),
                (Err(StoreError::Unreachable { .. }), Some(pause)) => {
                    tokio::time::sleep(*pause).await;
                }
                (Err(error), _) => return Err(error),
            }
        }
    }
}

/// The name that AWS gives a record in a bucket.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>.
fn key(function: &str, at: Timestamp, id: &str) -> String {
    let time = at.strftime("%Y/%m/%d/%Y-%m-%dT%H.%M.%S");
    format!("aws/lambda/async/{function}/{time}-{id}")
}

/// Why the queue is done with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// The function gave a response.
    Success,
    /// It failed as often as it was to be tried.
    RetriesExhausted,
    /// The next try would come after the longest time that an event is kept.
    EventAgeExceeded,
}

impl Condition {
    /// AWS's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::RetriesExhausted => "RetriesExhausted",
            Self::EventAgeExceeded => "EventAgeExceeded",
        }
    }
}

/// What the last try of an event came to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The function answered.
    Function {
        /// The version that served the event.
        version: String,
        /// Its response or its failure.
        result: Result<Bytes, FunctionError>,
    },
    /// The service refused to hand the event over.
    Refused(ServiceError),
}

/// All that is known of an event that the queue is done with.
#[derive(Debug)]
pub(crate) struct Record {
    /// The function's name, as the service checked it.
    pub(crate) function: String,
    /// The function's Amazon Resource Name, with the qualifier that the caller named, if any.
    pub(crate) arn: String,
    /// The invocation's identifier.
    pub(crate) request_id: String,
    /// Why it is over.
    pub(crate) condition: Condition,
    /// How often the function was tried; being throttled is no try.
    pub(crate) tries: u32,
    /// The event.
    pub(crate) event: Bytes,
    /// What the last try came to; none where there was no time for one.
    pub(crate) answer: Option<Answer>,
}

/// AWS's document. What has no value is left out, as in the records that LocalStack's tests took down from AWS:
/// <https://github.com/localstack/localstack/blob/main/tests/aws/services/lambda_/test_lambda_destinations.snapshot.json>.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    version: &'static str,
    timestamp: String,
    request_context: RequestContext<'a>,
    request_payload: Cow<'a, RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_context: Option<ResponseContext<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_payload: Option<Cow<'a, RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    request_id: &'a str,
    function_arn: Cow<'a, str>,
    condition: &'static str,
    approximate_invoke_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext<'a> {
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    executed_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_error: Option<&'static str>,
}

impl Record {
    /// The JSON text, event and response in it byte for byte.
    fn document(&self, at: Timestamp) -> Vec<u8> {
        let (context, payload) = match &self.answer {
            None => (None, None),
            Some(Answer::Refused(error)) => (
                Some(ResponseContext {
                    status_code: error.status().as_u16(),
                    executed_version: None,
                    function_error: None,
                }),
                None,
            ),
            Some(Answer::Function { version, result }) => {
                let (failed, bytes) = match result {
                    Ok(bytes) => (None, bytes),
                    Err(error) => (Some("Unhandled"), &error.document),
                };
                let context = ResponseContext {
                    status_code: 200,
                    executed_version: Some(version),
                    function_error: failed,
                };
                (Some(context), Some(embedded(bytes)))
            }
        };
        let document = Document {
            version: "1.0",
            timestamp: format!("{at:.3}"),
            request_context: RequestContext {
                request_id: &self.request_id,
                function_arn: qualified(&self.arn),
                condition: self.condition.as_str(),
                approximate_invoke_count: self.tries,
            },
            request_payload: embedded(&self.event),
            response_context: context,
            response_payload: payload,
        };
        serde_json::to_vec(&document).expect("strings, numbers and checked JSON have a text")
    }
}

/// The resource name with a qualifier, which AWS's records always have.
fn qualified(arn: &str) -> Cow<'_, str> {
    if arn.split(':').count() == ARN_PARTS {
        Cow::Owned(format!("{arn}:$LATEST"))
    } else {
        Cow::Borrowed(arn)
    }
}

/// JSON as it is, so that no digit of a number is lost; else a string of the bytes.
fn embedded(bytes: &[u8]) -> Cow<'_, RawValue> {
    serde_json::from_slice::<&RawValue>(bytes).map_or_else(
        |_| {
            let text = String::from_utf8_lossy(bytes);
            Cow::Owned(to_raw_value(&text).expect("a string has a JSON text"))
        },
        Cow::Borrowed,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Ask, Entry, Found, MemoryStore, Tag};
    use serde_json::{Value, json};
    use std::sync::Mutex;

    const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:crunch";

    fn record(answer: Option<Answer>) -> Record {
        Record {
            function: "crunch".to_owned(),
            arn: ARN.to_owned(),
            request_id: "r-1".to_owned(),
            condition: Condition::EventAgeExceeded,
            tries: 1,
            event: Bytes::from_static(b"{}"),
            answer,
        }
    }

    fn document(record: &Record) -> Value {
        let at = Timestamp::from_millisecond(1_573_755_365_568).unwrap();
        serde_json::from_slice(&record.document(at)).unwrap()
    }

    fn answered(bytes: &[u8]) -> Option<Answer> {
        Some(Answer::Function {
            version: "7".to_owned(),
            result: Ok(Bytes::copy_from_slice(bytes)),
        })
    }

    #[test]
    fn a_record_is_named_as_lambda_names_it() {
        let at = Timestamp::from_millisecond(1_573_755_365_568).unwrap();
        assert_eq!(
            key("crunch", at, "e4b46cbf"),
            "aws/lambda/async/crunch/2019/11/14/2019-11-14T18.16.05-e4b46cbf"
        );
    }

    #[test]
    fn a_response_that_is_not_json_is_embedded_as_a_string() {
        let cases: [(&[u8], Value); 5] = [
            (b"plain", json!("plain")),
            (b"", json!("")),
            (b"{\"a\":1} x", json!("{\"a\":1} x")),
            (b"\"\xff\"", json!("\"\u{fffd}\"")),
            (b" {\"a\":1}\n", json!({"a": 1})),
        ];
        for (bytes, expected) in cases {
            let document = document(&record(answered(bytes)));
            assert_eq!(document["responsePayload"], expected);
        }
    }

    #[test]
    fn nesting_without_end_is_embedded_without_a_crash() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(embedded(deep.as_bytes()).get(), deep);
    }

    #[test]
    fn an_event_that_was_never_answered_has_no_response() {
        let expected = json!({
            "version": "1.0",
            "timestamp": "2019-11-14T18:16:05.568Z",
            "requestContext": {
                "requestId": "r-1",
                "functionArn": format!("{ARN}:$LATEST"),
                "condition": "EventAgeExceeded",
                "approximateInvokeCount": 1,
            },
            "requestPayload": {},
        });
        assert_eq!(document(&record(None)), expected);
    }

    #[test]
    fn a_refusal_has_a_status_and_nothing_of_a_function() {
        let refused = document(&record(Some(Answer::Refused(
            ServiceError::TooManyRequests,
        ))));
        assert_eq!(refused["responseContext"], json!({"statusCode": 429}));
        assert!(refused.get("responsePayload").is_none());
    }

    #[test]
    fn a_qualifier_that_the_caller_named_stays() {
        let mut named = record(answered(b"null"));
        named.arn = format!("{ARN}:live");
        let document = document(&named);
        let context = &document["requestContext"];
        assert_eq!(context["functionArn"], json!(format!("{ARN}:live")));
    }

    /// A store whose answers to the first writes are lost, though it has written.
    #[derive(Debug)]
    struct Mute {
        inner: MemoryStore,
        silent: Mutex<usize>,
    }

    #[async_trait::async_trait]
    impl Store for Mute {
        fn location(&self) -> &str {
            self.inner.location()
        }

        async fn get(&self, key: &str, ask: Ask) -> Result<Found, StoreError> {
            self.inner.get(key, ask).await
        }

        async fn put(
            &self,
            key: &str,
            bytes: Bytes,
            condition: store::Condition,
        ) -> Result<Tag, StoreError> {
            let put = self.inner.put(key, bytes, condition).await;
            let mut silent = self.silent.lock().unwrap();
            if *silent == 0 {
                return put;
            }
            *silent -= 1;
            Err(StoreError::Unreachable {
                store: self.location().to_owned(),
                key: key.to_owned(),
                problem: String::new(),
            })
        }

        async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
            self.inner.list(prefix).await
        }

        async fn delete(&self, key: &str) -> Result<(), StoreError> {
            self.inner.delete(key).await
        }
    }

    fn mute(times: usize) -> (Destination, Arc<Mute>) {
        let store = Arc::new(Mute {
            inner: MemoryStore::new(),
            silent: Mutex::new(times),
        });
        let destination = Destination {
            store: Arc::clone(&store) as Arc<dyn Store>,
            pauses: [Duration::ZERO; 2],
        };
        (destination, store)
    }

    #[tokio::test]
    async fn a_record_whose_write_is_not_answered_is_there_once() {
        let (destination, store) = mute(2);
        let key = destination.write(&record(None)).await.unwrap();
        let entries = store.list("").await.unwrap();
        let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, [key]);
    }

    #[tokio::test]
    async fn a_store_that_never_answers_is_asked_three_times() {
        let (destination, store) = mute(100);
        let error = destination.write(&record(None)).await.unwrap_err();
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
        assert_eq!(*store.silent.lock().unwrap(), 97);
    }
}
