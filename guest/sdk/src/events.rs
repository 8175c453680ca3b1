//! Typed events of AWS's services, from AWS's own crate `aws_lambda_events`.
//!
//! Each is `Deserialize`, so it can be a handler's event; fields that AWS adds later are ignored.

pub use aws_lambda_events::event::sns::{MessageAttribute, SnsEvent, SnsMessage, SnsRecord};
