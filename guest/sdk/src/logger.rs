//! The `log` facade's way to the host: message and level as they are, key-values as fields in JSON.

use crate::imports;
use log::kv::{self, Key, Value, VisitSource};
use log::{Log, Metadata, Record};

struct HostLog;

impl Log for HostLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut fields = Fields(Vec::new());
        // Our visitor never fails, and a source that does has at least given the fields before.
        let _ = record.key_values().visit(&mut fields);
        imports::emit(record.level(), &record.args().to_string(), &fields.0);
    }

    fn flush(&self) {}
}

struct Fields(Vec<(String, String)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        self.0.push((key.to_string(), json(&value)));
        Ok(())
    }
}

fn json(value: &Value<'_>) -> String {
    if let Some(number) = value.to_i64() {
        number.to_string()
    } else if let Some(number) = value.to_u64() {
        number.to_string()
    } else if let Some(truth) = value.to_bool() {
        truth.to_string()
    } else if let Some(number) = value.to_f64().filter(|number| number.is_finite()) {
        number.to_string()
    } else {
        serde_json::Value::from(value.to_string()).to_string()
    }
}

/// Routes the facade to the host. Natively each test thread has its own lines, so setting it again changes nothing.
pub(crate) fn install() {
    let _ = log::set_logger(&HostLog);
    log::set_max_level(imports::threshold());
}
