//! `crunchbox invoke`: one event to a function that something else serves: `crunchbox dev`, or AWS Lambda.

use super::printer::{self, Printer};
use super::report;
use crate::error::{Code, Failure};
use crate::event::check_event;
use crate::front::local::EventSource;
use crate::invoke::{
    Answer, Endpoint, Invoke as Request, LogTail, Mode, QUEUED_BYTES_MAX, Qualifier, Region,
    Service, Target,
};
use crate::quantity::{Bytes, Time};
use crate::settings::{SettingError, Variables, region};
use crate::telemetry::printable;
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// What Lambda takes for the event where a caller sends nothing.
const NO_EVENT: &str = "{}";

/// As many digits of a release as a report shows.
const RELEASE_CHARS: usize = 12;

/// Send one event to a function that `crunchbox dev` serves, or AWS Lambda, as Lambda's own tools do.
///
/// The response goes to standard output byte for byte (a line break follows on a terminal), and so does the document of a
/// function's failure; reports go to standard error. The exit status is that of `crunchbox run`. An event is sent once and
/// never again by itself: it may have run although no answer came.
#[derive(Debug, clap::Args)]
pub(super) struct Invoke {
    /// The function: crunch, crunch:41, crunch@live, crunch@live:41 (its state 41), or an Amazon Resource Name.
    #[arg(value_name = "FUNCTION")]
    function: Target,
    /// A file with the event, or `-` for standard input [default: an empty object]
    #[arg(short, long, value_name = "PATH", conflicts_with = "data")]
    event: Option<PathBuf>,
    /// The event itself.
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// The version or alias: a number, $LATEST, or a channel's name.
    #[arg(long, value_name = "VERSION")]
    qualifier: Option<Qualifier>,
    /// Have the event queued, and print the invocation's identifier.
    #[arg(long = "async", conflicts_with_all = ["dry_run", "tail", "stream", "client_context"])]
    queued: bool,
    /// Ask only whether the function is there and these credentials may invoke it.
    #[arg(long, conflicts_with_all = ["tail", "stream"])]
    dry_run: bool,
    /// Print the end of the invocation's log, at most 4 KiB of it.
    #[arg(long)]
    tail: bool,
    /// Print the response in parts, as the function makes them.
    #[arg(long)]
    stream: bool,
    /// What to tell the function of its caller, as a JSON object.
    #[arg(long, value_name = "JSON")]
    client_context: Option<String>,
    /// The tenant whose event it is.
    #[arg(long, value_name = "ID", value_parser = tenant)]
    tenant: Option<String>,
    /// The service [default: AWS_ENDPOINT_URL_LAMBDA, AWS_ENDPOINT_URL, else http://127.0.0.1:9000, as `crunchbox dev`]
    #[arg(long, value_name = "URL")]
    endpoint: Option<Endpoint>,
    /// Sign the request with the AWS credentials of this machine, and send it to AWS unless --endpoint says otherwise.
    #[arg(long)]
    aws: bool,
    /// AWS's region [default: that of the Amazon Resource Name, AWS_REGION or AWS_DEFAULT_REGION]
    #[arg(long, requires = "aws")]
    region: Option<Region>,
    /// The longest to wait for all of the answer; Lambda itself stops after 15 minutes.
    #[arg(long, value_name = "TIME", default_value = "15m 30s")]
    time: Time,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    pub(super) json: bool,
}

/// Source: `TenantId` in AWS's API model of Lambda.
fn tenant(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._:/=+-@ ".contains(c);
    if (1..=256).contains(&text.len()) && text.chars().all(allowed) {
        return Ok(text.to_owned());
    }
    Err("expected 1 to 256 letters, digits, spaces and `._:/=+-@`".to_owned())
}

impl Invoke {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<u8, Failure> {
        let request = self.request()?;
        let service = self.service(variables)?;
        let answer = service.invoke(&request, &mut printer::result).await?;
        show(printer, &request, &answer)?;
        let failure = answer.failure.as_ref();
        Ok(failure.map_or(0, |(_, failure)| failure.code.meaning().exit))
    }

    fn request(&self) -> Result<Request, Failure> {
        let target = self.function.clone().with(self.qualifier.as_ref());
        let target =
            target.map_err(|error| Failure::new(Code::AddressInvalid, error.to_string()))?;
        let mode = self.mode();
        Ok(Request {
            target,
            mode,
            log: if self.tail {
                LogTail::Wanted
            } else {
                LogTail::None
            },
            event: self.event(mode)?.into(),
            client_context: self.client_context.clone(),
            tenant: self.tenant.clone(),
        })
    }

    fn mode(&self) -> Mode {
        match (self.queued, self.dry_run, self.stream) {
            (true, _, _) => Mode::Queue,
            (_, true, _) => Mode::DryRun,
            (_, _, true) => Mode::Stream,
            (false, false, false) => Mode::Response,
        }
    }

    fn event(&self, mode: Mode) -> Result<String, Failure> {
        let source = match (&self.data, &self.event) {
            (Some(text), _) => EventSource::Text(text.clone()),
            (None, Some(path)) if path == Path::new("-") => EventSource::Stdin,
            (None, Some(path)) => EventSource::File(path.clone()),
            (None, None) => EventSource::Text(NO_EVENT.to_owned()),
        };
        let event = check_event(source.read()?)?;
        if mode == Mode::Queue && event.len() > QUEUED_BYTES_MAX {
            let message = format!(
                "the event has {} bytes, at most {QUEUED_BYTES_MAX} are allowed in Lambda's queue",
                event.len()
            );
            let hint = "send it without --async, or send a reference (such as an S3 key) instead of the data";
            return Err(Failure::new(Code::EventTooLarge, message).with_hint(hint));
        }
        Ok(event)
    }

    /// Where to send it. A name of AWS's alone does not lead there: an event that was meant for this machine must not run in
    /// somebody's account.
    fn service(&self, variables: Variables<'_>) -> Result<Service, Failure> {
        let signed_for = if self.aws {
            Some(self.region(variables)?)
        } else {
            None
        };
        let endpoint = match (&self.endpoint, &signed_for) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, Some(region)) => Endpoint::of_region(region),
            (None, None) => Endpoint::of_environment(variables)?.unwrap_or_default(),
        };
        Ok(Service {
            endpoint,
            signed_for,
            time: self.time.0,
        })
    }

    fn region(&self, variables: Variables<'_>) -> Result<Region, SettingError> {
        const NAME: &str = "AWS_REGION";
        const EXPECTED: &str = "a region such as `eu-west-1`, here or as --region";
        if let Some(region) = self.region.as_ref().or(self.function.region.as_ref()) {
            return Ok(region.clone());
        }
        let text = region(variables).ok_or(SettingError::Missing {
            name: NAME,
            expected: EXPECTED,
        })?;
        text.parse().map_err(|_| SettingError::Invalid {
            name: NAME,
            expected: EXPECTED,
            got: text,
        })
    }
}

/// The log first, then the result, then the report, as `crunchbox run` has it.
fn show(printer: &Printer, request: &Request, answer: &Answer) -> Result<(), Failure> {
    if let Some(log) = &answer.log {
        for line in String::from_utf8_lossy(log).lines() {
            printer.text(|| printable(line).into_owned());
        }
    }
    printer.log().flush();
    match (request.mode, &answer.request_id) {
        (Mode::Queue, Some(id)) => printer::result(format!("{id}\n").as_bytes())?,
        (Mode::Queue | Mode::DryRun, _) => {}
        (Mode::Response | Mode::Stream, _) => {
            printer::result(&answer.payload)?;
            if std::io::stdout().is_terminal() {
                printer::result(b"\n")?;
            }
        }
    }
    printer.text(|| report_text(printer, request, answer));
    printer.json(|| report_json(request, answer));
    Ok(())
}

fn report_text(printer: &Printer, request: &Request, answer: &Answer) -> String {
    let what = served(request, answer);
    match &answer.failure {
        Some((_, failure)) => report::failure_text(printer, &what, failure),
        None => {
            let outcome = outcome(request.mode, answer);
            format!("  {} {what}: {outcome}", printer.mark("✓", true))
        }
    }
}

fn outcome(mode: Mode, answer: &Answer) -> String {
    match mode {
        Mode::Response | Mode::Stream => {
            format!("{} in {}", Bytes(answer.bytes), Time(answer.took))
        }
        Mode::Queue => "queued".to_owned(),
        Mode::DryRun => "may be invoked".to_owned(),
    }
}

/// The function, and what of it served the event: `crunch 41 (release 3f2a91c04b7e)`.
fn served(request: &Request, answer: &Answer) -> String {
    let mut text = match &answer.version {
        Some(version) => format!("{} {}", request.target.name(), printable(version)),
        None => request.target.to_string(),
    };
    if let Some(release) = &answer.release {
        let digits = release.strip_prefix("sha256-").unwrap_or(release);
        let digits: String = digits.chars().take(RELEASE_CHARS).collect();
        text.push_str(&format!(" (release {})", printable(&digits)));
    }
    text
}

fn report_json(request: &Request, answer: &Answer) -> Value {
    let mut report = json!({
        "type": "invocation",
        "function": request.target.name(),
        "status": answer.status.as_u16(),
        "executedVersion": answer.version,
        "release": answer.release,
        "requestId": answer.request_id,
        "functionError": answer.failure.as_ref().map(|(error, _)| error),
        "ms": report::ms(answer.took),
        "bytes": answer.bytes,
    });
    if let Some(log) = &answer.log {
        report["log"] = String::from_utf8_lossy(log).into();
    }
    if let Some((_, failure)) = &answer.failure {
        report["failure"] = report::failure_json(failure);
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Environment;
    use clap::Parser;
    use std::time::Duration;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        invoke: Invoke,
    }

    fn typed(arguments: &str) -> Result<Invoke, clap::Error> {
        let words = std::iter::once("invoke").chain(arguments.split(' '));
        Typed::try_parse_from(words).map(|typed| typed.invoke)
    }

    fn service(arguments: &str, variables: &[(&str, &str)]) -> Result<Service, Failure> {
        let variables: Environment = variables.iter().copied().collect();
        typed(arguments).unwrap().service(&variables)
    }

    const ARN: &str = "arn:aws-cn:lambda:cn-north-1:123456789012:function:crunch";

    #[test]
    fn nothing_but_the_option_sends_a_request_to_aws() {
        let said = [
            ("AWS_ENDPOINT_URL_LAMBDA", "http://stand-in.example"),
            ("AWS_REGION", "eu-west-1"),
        ];
        let other = "http://other.example";
        let arn = |options: &str| format!("{ARN}{options}");
        for (arguments, endpoint, region) in [
            ("crunch".to_owned(), said[0].1, None),
            (arn(""), said[0].1, None),
            (arn(" --endpoint http://other.example"), other, None),
            (
                "crunch --aws".to_owned(),
                "https://lambda.eu-west-1.amazonaws.com",
                Some("eu-west-1"),
            ),
            (
                arn(" --aws"),
                "https://lambda.cn-north-1.amazonaws.com.cn",
                Some("cn-north-1"),
            ),
            (
                arn(" --aws --region us-east-1"),
                "https://lambda.us-east-1.amazonaws.com",
                Some("us-east-1"),
            ),
            (
                "crunch --aws --endpoint http://other.example".to_owned(),
                other,
                Some("eu-west-1"),
            ),
        ] {
            let service = service(&arguments, &said).unwrap();
            assert_eq!(service.endpoint.to_string(), endpoint, "{arguments}");
            let signed_for = service.signed_for.as_ref().map(Region::as_str);
            assert_eq!(signed_for, region, "{arguments}");
        }
        let nothing = service(ARN, &[]).unwrap();
        assert_eq!(nothing.endpoint.to_string(), "http://127.0.0.1:9000");
        assert_eq!(nothing.time, Duration::from_secs(930));
    }

    #[test]
    fn a_region_that_is_missing_or_none_is_named() {
        let wrong = [("AWS_REGION", "eu/west")];
        for variables in [&wrong[..0], &wrong[..]] {
            let failure = service("crunch --aws", variables).unwrap_err();
            assert_eq!(failure.code, Code::SettingInvalid);
            assert!(failure.message.contains("AWS_REGION"), "{failure}");
        }
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        for arguments in [
            "crunch --async --stream",
            "crunch --async --dry-run",
            "crunch --async --tail",
            "crunch --async --client-context {}",
            "crunch --dry-run --stream",
            "crunch --data 1 --event x.json",
            "crunch --region eu-west-1",
            "crunch --tenant a,b",
            "crunch@3f2a91c0",
            "a/b",
        ] {
            assert!(typed(arguments).is_err(), "{arguments}");
        }
        let failure = typed("crunch:1 --qualifier 2").unwrap().request();
        assert_eq!(failure.unwrap_err().code, Code::AddressInvalid);
    }

    #[test]
    fn the_event_is_checked_before_it_is_sent() {
        let event = |arguments: &str| typed(arguments).unwrap().request();
        assert_eq!(event("crunch").unwrap().event, "{}");
        assert_eq!(event("crunch --data [1]").unwrap().event, "[1]");
        let failure = event("crunch --data {").unwrap_err();
        assert_eq!(failure.code, Code::EventNotJson);
        let long = format!("\"{}\"", "a".repeat(QUEUED_BYTES_MAX));
        assert!(event(&format!("crunch --data {long}")).is_ok());
        let failure = event(&format!("crunch --async --data {long}")).unwrap_err();
        assert_eq!(failure.code, Code::EventTooLarge);
    }

    #[test]
    fn the_report_says_what_served_and_how_it_went() {
        let request = typed("crunch@live").unwrap().request().unwrap();
        let failure = Failure::new(Code::MemoryLimit, "asked for more");
        let mut answer = Answer {
            status: http::StatusCode::OK,
            request_id: Some("5d3f".to_owned()),
            version: Some("41".to_owned()),
            release: Some("sha256-3f2a91c04b7e99".to_owned()),
            log: None,
            payload: "7".into(),
            bytes: 1,
            failure: Some(("Unhandled".to_owned(), failure)),
            took: Duration::from_micros(3_400),
        };
        let what = served(&request, &answer);
        assert_eq!(what, "crunch 41 (release 3f2a91c04b7e)");
        assert_eq!(outcome(request.mode, &answer), "1 B in 3.4 ms");
        let report = report_json(&request, &answer);
        assert_eq!(report["functionError"], "Unhandled");
        assert_eq!(report["failure"]["exit"], Code::MemoryLimit.meaning().exit);
        assert_eq!(report["executedVersion"], "41");
        (answer.version, answer.release) = (None, None);
        assert_eq!(served(&request, &answer), "crunch:live");
    }
}
