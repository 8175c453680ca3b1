//! One event through a handler: decode, call, encode.
#![cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "called from components; natively only by tests")
)]

use crate::{Context, Failure};
use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(target_arch = "wasm32")]
pub use component::{run, run_raw};

#[cfg(target_arch = "wasm32")]
mod component {
    use super::*;
    use crate::bindings::crunchbox::function::types::Failure as WitFailure;

    /// Handles an event with types.
    pub fn run<E: DeserializeOwned, R: Serialize, F: Into<Failure>>(
        event: String,
        handler: impl FnOnce(E, Context) -> Result<R, F>,
    ) -> Result<String, WitFailure> {
        prepare();
        super::typed(&event, handler).map_err(Into::into)
    }

    /// Handles an event as text.
    pub fn run_raw<F: Into<Failure>>(
        event: String,
        handler: impl FnOnce(String, Context) -> Result<String, F>,
    ) -> Result<String, WitFailure> {
        prepare();
        handler(event, Context::current()).map_err(|failure| failure.into().into())
    }

    fn prepare() {
        crate::logger::install();
        std::panic::set_hook(Box::new(|info| {
            let message = info
                .payload_as_str()
                .unwrap_or("the handler panicked without a message");
            let place = info.location().map(ToString::to_string);
            crate::imports::abort(message, place.as_deref());
        }));
    }
}

fn typed<E: DeserializeOwned, R: Serialize, F: Into<Failure>>(
    event: &str,
    handler: impl FnOnce(E, Context) -> Result<R, F>,
) -> Result<String, Failure> {
    let event = decode(event)?;
    let response = handler(event, Context::current()).map_err(Into::into)?;
    serde_json::to_string(&response).map_err(|error| {
        Failure::new(
            "InvalidResponse",
            format!("the response has no JSON text: {error}"),
        )
    })
}

fn decode<E: DeserializeOwned>(event: &str) -> Result<E, Failure> {
    // The quick way first: only an event that does not fit pays for the path to where it does not.
    serde_json::from_str(event).map_err(|_| {
        let mut reader = serde_json::Deserializer::from_str(event);
        let problem = match serde_path_to_error::deserialize::<_, E>(&mut reader) {
            Ok(_) => "it has more than the type takes".to_owned(),
            Err(error) if error.path().to_string() == "." => error.inner().to_string(),
            Err(error) => format!("{}: {}", error.path(), error.inner()),
        };
        Failure::new("InvalidEvent", format!("the event does not fit: {problem}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Order {
        items: Vec<u8>,
    }

    fn sum(order: Order, _: Context) -> Result<u32, Failure> {
        Ok(order.items.iter().map(|item| u32::from(*item)).sum())
    }

    #[test]
    fn an_event_goes_in_and_a_response_comes_out_as_json() {
        assert_eq!(typed(r#"{"items":[1,2]}"#, sum), Ok("3".to_owned()));
    }

    #[test]
    fn an_event_that_does_not_fit_is_named_by_its_path() {
        let failure = typed(r#"{"items":[1,"x"]}"#, sum).unwrap_err();
        assert_eq!(failure.kind, "InvalidEvent");
        assert!(
            failure
                .message
                .contains("items[1]: invalid type: string \"x\""),
            "{}",
            failure.message
        );
    }
}
