//! The handler of the demonstration without any guest, on AWS's own runtime client for Rust.

use crunch::{Report, crunch};
use crunchbox_sdk::Failure;
use crunchbox_sdk::events::SnsEvent;
use crunchbox_sdk::testing::Made;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let made = Made::new().config(&std::env::var("CRUNCH_CONFIG")?);
    run(service_fn(async |event: LambdaEvent<SnsEvent>| handle(&made, event.payload))).await
}

fn handle(made: &Made, event: SnsEvent) -> Result<Report, Diagnostic> {
    let told = |failure: Failure| Diagnostic { error_type: failure.kind, error_message: failure.message };
    made.run(|_| crunch(event)).map_err(told)
}
