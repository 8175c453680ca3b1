//! One request over HTTP or HTTPS, and its answer as it arrives. Sends once, whatever happens; knows nothing of what the
//! bytes mean.

use crate::error::{Code, Fault, chain};
use crate::quantity::Time;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use bytes::{Bytes, BytesMut};
use http::uri::Scheme;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper_util::client::legacy;
use std::error::Error;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a connection may take, TLS among it.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Why there is no answer, or not all of one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// What was to be sent is no request.
    #[error("the request cannot be sent: {0}")]
    Unsendable(String),
    /// Nothing was sent.
    #[error("no connection: {0}")]
    Dial(String),
    /// The connection ended, or the other end broke the protocol, after something may have been sent.
    #[error("the connection broke off before the end of the answer: {0}")]
    Broken(String),
    /// The time for all of it is over.
    #[error("no whole answer within {}", Time(*.0))]
    Late(Duration),
    /// The answer is longer than what is read.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

impl Fault for SendError {
    fn code(&self) -> Code {
        match self {
            Self::Unsendable(_) => Code::SettingInvalid,
            Self::Dial(_) | Self::Broken(_) | Self::Late(_) | Self::TooLong(_) => {
                Code::ServiceUnreachable
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Broken(_) => Some(
                "the event may have run, or run still: look at the function's log before it is sent again".to_owned(),
            ),
            Self::Late(_) => Some("the event may run still; raise --time to wait longer".to_owned()),
            Self::Unsendable(_) | Self::Dial(_) | Self::TooLong(_) => None,
        }
    }
}

/// A body that is on its way. Letting go of it ends the connection.
#[derive(Debug)]
pub(crate) struct Arriving {
    body: UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>,
    deadline: Instant,
    time: Duration,
}

/// Sends a request once and waits for the head of its answer. `time` is for all of it, up to the body's last byte.
///
/// # Errors
/// [`SendError`]; whatever the other end answers is no error.
pub(crate) async fn send(
    request: Request<Bytes>,
    time: Duration,
) -> Result<Response<Arriving>, SendError> {
    let deadline = Instant::now() + time;
    let (parts, bytes) = request.into_parts();
    let connector = connector(parts.uri.scheme());
    let body = HttpRequest::new(bytes.into()).into_body();
    let request = HttpRequest::try_from(Request::from_parts(parts, body))
        .map_err(|error| SendError::Unsendable(chain(&error)))?;
    let answer = timeout_at(deadline, connector.call(request)).await;
    let answer = answer.map_err(|_| SendError::Late(time))?.map_err(failed)?;
    let answer = answer
        .try_into_http1x()
        .map_err(|error| SendError::Broken(chain(&error)))?;
    Ok(answer.map(|body| Arriving {
        body: body.boxed_unsync(),
        deadline,
        time,
    }))
}

fn connector(scheme: Option<&Scheme>) -> Connector {
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(CONNECT_TIME)
        .build();
    let builder = Connector::builder().connector_settings(settings);
    if scheme == Some(&Scheme::HTTPS) {
        let tls = Provider::Rustls(CryptoMode::Ring);
        builder.tls_provider(tls).build()
    } else {
        // One that could speak TLS would read this machine's authorities first, a hundred and more of them.
        builder.build_http()
    }
}

fn failed(error: ConnectorError) -> SendError {
    let source = error.into_source();
    let problem = chain(source.as_ref());
    if is_dial(source.as_ref()) {
        SendError::Dial(problem)
    } else {
        SendError::Broken(problem)
    }
}

/// Whether there was no connection yet when it failed.
fn is_dial(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .filter_map(|error| error.downcast_ref::<legacy::Error>())
        .any(legacy::Error::is_connect)
}

impl Arriving {
    /// The next bytes, or nothing at the end.
    ///
    /// # Errors
    /// [`SendError::Broken`] or [`SendError::Late`].
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, SendError> {
        loop {
            let frame = timeout_at(self.deadline, self.body.frame()).await;
            match frame.map_err(|_| SendError::Late(self.time))? {
                None => return Ok(None),
                Some(Err(error)) => return Err(SendError::Broken(chain(error.as_ref()))),
                Some(Ok(frame)) => {
                    // Trailers are no bytes, and nothing here has a use for them.
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// [`SendError::TooLong`] beyond `most` bytes, and those of [`Self::chunk`].
    pub(crate) async fn whole(mut self, most: usize) -> Result<Bytes, SendError> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if whole.len().saturating_add(chunk.len()) > most {
                return Err(SendError::TooLong(most));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// What there is of it, up to `most` bytes, however it ends: for words that only explain.
    pub(crate) async fn beginning(mut self, most: usize) -> Bytes {
        let mut beginning = BytesMut::new();
        while beginning.len() < most
            && let Ok(Some(chunk)) = self.chunk().await
        {
            beginning.extend_from_slice(&chunk);
        }
        beginning.truncate(most);
        beginning.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Answers one connection with these bytes and closes it.
    async fn answer(bytes: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            stream.shutdown().await.unwrap();
            // Closed before all has been read, the connection would be reset, and the answer lost with it.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        format!("http://{address}/")
    }

    async fn sent(url: &str) -> Result<Response<Arriving>, SendError> {
        let request = Request::post(url).body(Bytes::from_static(b"{}")).unwrap();
        send(request, PATIENCE).await
    }

    #[tokio::test]
    async fn an_answer_is_read_up_to_its_bound() {
        let url = answer(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").await;
        let body = sent(&url).await.unwrap().into_body();
        assert_eq!(body.whole(3).await.unwrap(), "abc");
        let url = answer(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").await;
        let body = sent(&url).await.unwrap().into_body();
        assert!(matches!(body.whole(2).await, Err(SendError::TooLong(2))));
        let url = answer(b"HTTP/1.1 500 No\r\ncontent-length: 9\r\n\r\nabc").await;
        let body = sent(&url).await.unwrap().into_body();
        assert_eq!(body.beginning(2).await, "ab");
    }

    #[tokio::test]
    async fn nobody_who_listens_is_told_from_a_connection_that_broke_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let error = sent(&url).await.unwrap_err();
        assert!(matches!(error, SendError::Dial(_)), "{error}");
        let error = sent(&answer(b"").await).await.unwrap_err();
        assert!(matches!(error, SendError::Broken(_)), "{error}");
        let url = answer(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await;
        let body = sent(&url).await.unwrap().into_body();
        assert!(matches!(body.whole(9).await, Err(SendError::Broken(_))));
    }
}
