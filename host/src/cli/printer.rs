//! What a person or a script sees: reports on standard error, as text or as JSON lines, in one order with log lines.

use crate::error::{Code, Failure, Level};
use crate::settings::Variables;
use crate::telemetry::{Format, Log};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

/// How long the last lines have to be read by somebody, when a command ends.
const FLUSH_TIME: Duration = Duration::from_secs(5);

/// The shape of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Text for a person.
    Text,
    /// One JSON object a line.
    Json,
}

impl Style {
    /// The style that `--json` asks for.
    pub(super) fn json(wanted: bool) -> Self {
        if wanted { Self::Json } else { Self::Text }
    }
}

/// Writes reports and log lines to standard error.
#[derive(Debug, Clone)]
pub(super) struct Printer {
    log: Log,
    style: Style,
}

impl Printer {
    pub(super) fn new(style: Style, variables: Variables<'_>) -> Result<Self, Failure> {
        let plain = variables
            .get("NO_COLOR")
            .is_some_and(|value| !value.is_empty())
            || variables
                .get("TERM")
                .is_some_and(|terminal| terminal == "dumb");
        let format = match style {
            Style::Json => Format::Json,
            Style::Text if std::io::stderr().is_terminal() && !plain => Format::Colour,
            Style::Text => Format::Plain,
        };
        let log = Log::new(format, Level::Info, std::io::stderr()).map_err(|error| {
            Failure::new(
                Code::HostSetup,
                format!("cannot start the log's thread: {error}"),
            )
        })?;
        super::report_panics(&log);
        Ok(Self { log, style })
    }

    /// Whether a person sees what is written, and sees it as text.
    #[cfg(feature = "publish")]
    pub(super) fn is_watched(&self) -> bool {
        self.style == Style::Text && std::io::stderr().is_terminal()
    }

    /// Whether reports are text for a person.
    #[cfg(feature = "dev")]
    pub(super) fn is_text(&self) -> bool {
        self.style == Style::Text
    }

    /// Whether that text has colours.
    #[cfg(feature = "dev")]
    pub(super) fn is_coloured(&self) -> bool {
        self.log.format() == Format::Colour
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// One line or block of text for a person; nothing in JSON.
    pub(super) fn text(&self, text: impl FnOnce() -> String) {
        if self.style == Style::Text {
            self.log.raw(text());
        }
    }

    /// One object for a script; nothing in text.
    pub(super) fn json(&self, object: impl FnOnce() -> serde_json::Value) {
        if self.style == Style::Json {
            self.log.raw(object().to_string());
        }
    }

    /// Colours a mark on a terminal.
    pub(super) fn mark(&self, mark: &str, good: bool) -> String {
        let colour = if good { 32 } else { 31 };
        match self.log.format() {
            Format::Colour => format!("\x1b[{colour}m{mark}\x1b[0m"),
            Format::Text | Format::Plain | Format::Json => mark.to_owned(),
        }
    }

    /// Ends a command: reports why it has no result, if so, and gives its exit status.
    pub(super) fn finish(&self, outcome: Result<u8, Failure>) -> ExitCode {
        let exit = match outcome {
            Ok(exit) => exit,
            Err(failure) => {
                self.text(|| super::report::failure_text(self, "", &failure));
                self.json(|| super::report::failure_json(&failure));
                failure.code.meaning().exit
            }
        };
        self.log.flush_within(FLUSH_TIME);
        exit.into()
    }
}

/// Writes a result to standard output. A reader that went away has what it wanted.
pub(super) fn result(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(
            Code::OutputFailed,
            format!("cannot write to standard output: {error}"),
        )),
        _ => Ok(()),
    }
}
