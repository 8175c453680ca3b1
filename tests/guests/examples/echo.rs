//! Answers with the event, byte for byte.

use crunchbox_sdk::{Failure, handler};

#[handler(raw)]
fn echo(event: String) -> Result<String, Failure> {
    Ok(event)
}
