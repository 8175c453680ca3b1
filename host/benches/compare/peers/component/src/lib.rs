//! The demonstration as a component of `wasi:http`, which any host of such components serves. The statistics are those of the
//! example in Rust; the handler here is its handler without the SDK, since such a host offers none of what that imports.

#[path = "../../../../../../guest/examples/crunch/src/stats.rs"]
mod stats;

use aws_lambda_events::event::sns::SnsEvent;
use serde::{Deserialize, Serialize};
use stats::{Summary, summarise};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use wasi::http::types::{
    Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

/// What the example's configuration says. There is no place for it in `wasi:http`.
const CONFIG: &str = include_str!("config.json");

#[derive(Deserialize)]
struct Settings {
    percentiles: Vec<u8>,
    outliers: Outliers,
}

#[derive(Deserialize)]
struct Outliers {
    iqr: f64,
}

#[derive(Deserialize)]
struct Reading {
    station: String,
    metric: String,
    value: f64,
}

#[derive(Serialize)]
struct Report {
    stations: BTreeMap<String, BTreeMap<String, Summary>>,
}

fn readings(message: &str) -> Result<Vec<Reading>, serde_json::Error> {
    if message.trim_start().starts_with('[') {
        serde_json::from_str(message)
    } else {
        serde_json::from_str(message).map(|reading| vec![reading])
    }
}

fn crunch(event: SnsEvent) -> Result<Report, String> {
    let mut settings: Settings = serde_json::from_str(CONFIG).map_err(|error| error.to_string())?;
    settings.percentiles.sort_unstable();
    settings.percentiles.dedup();
    let mut values: BTreeMap<String, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    for record in &event.records {
        match readings(&record.sns.message) {
            Err(problem) => eprintln!("skipped {}: {problem}", record.sns.message_id),
            Ok(readings) => {
                for reading in readings {
                    let station = values.entry(reading.station).or_default();
                    station.entry(reading.metric).or_default().push(reading.value);
                }
            }
        }
    }
    if values.is_empty() {
        return Err("no record held a reading".to_owned());
    }
    let metrics = |metrics: BTreeMap<String, Vec<f64>>| {
        let summaries = metrics.into_iter();
        summaries.map(|(metric, values)| (metric, summarise(values, &settings))).collect()
    };
    let stations = values.into_iter();
    Ok(Report { stations: stations.map(|(station, values)| (station, metrics(values))).collect() })
}

/// The status and the text of the answer to an event.
fn answered(event: &[u8]) -> (u16, String) {
    let report = serde_json::from_slice(event).map_err(|error| error.to_string()).and_then(crunch);
    let report = report.and_then(|report| serde_json::to_string(&report).map_err(|error| error.to_string()));
    let failed = |message| serde_json::json!({"errorType": "NoReadings", "errorMessage": message}).to_string();
    report.map_or_else(|message| (500, failed(message)), |report| (200, report))
}

fn body_of(request: &IncomingRequest) -> Vec<u8> {
    let body = request.consume().expect("a body is taken once");
    let mut bytes = Vec::new();
    {
        let mut stream = body.stream().expect("a stream is taken once");
        stream.read_to_end(&mut bytes).expect("the caller sends all of it");
    }
    IncomingBody::finish(body);
    bytes
}

struct Component;

impl wasi::exports::http::incoming_handler::Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let (status, text) = answered(&body_of(&request));
        let length = [text.len().to_string().into_bytes()];
        let headers = Fields::new();
        headers.set("content-length", &length).expect("a header that is allowed");
        let response = OutgoingResponse::new(headers);
        response.set_status_code(status).expect("a status that is allowed");
        let body = response.body().expect("a body is taken once");
        ResponseOutparam::set(out, Ok(response));
        {
            let mut stream = body.write().expect("a stream is taken once");
            stream.write_all(text.as_bytes()).expect("the caller reads all of it");
        }
        OutgoingBody::finish(body, None).expect("as long as its header says");
    }
}

wasi::http::proxy::export!(Component);
