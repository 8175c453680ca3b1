//! The command line: what was typed, and which command it starts. Each command is a file named by its verb.

mod build;
mod check;
mod config;
#[cfg(feature = "publish")]
mod copy;
#[cfg(feature = "dev")]
mod dev;
mod event;
mod explain;
#[cfg(feature = "dev")]
mod invoke;
#[cfg(feature = "publish")]
mod keys;
mod layers;
#[cfg(feature = "publish")]
mod list;
#[cfg(feature = "dev")]
mod new;
#[cfg(feature = "dev")]
mod package;
#[cfg(feature = "publish")]
mod precompile;
mod printer;
#[cfg(feature = "publish")]
mod progress;
mod project;
#[cfg(feature = "publish")]
mod promote;
#[cfg(feature = "publish")]
mod publisher;
#[cfg(feature = "publish")]
mod release;
mod report;
mod run;
mod shelf;
mod start;
#[cfg(feature = "dev")]
mod template;
mod test;

use crate::error::{Code, Failure};
use crate::settings::{self, Variables};
use clap::{CommandFactory, Parser, Subcommand};
use printer::{Printer, Style};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Runs functions: WebAssembly components that take an event and give a response.
///
/// The same component runs here from a folder and on AWS Lambda, where this program is the `bootstrap` of a custom
/// runtime. Results go to standard output, everything else to standard error.
#[derive(Debug, Parser)]
#[command(name = "crunchbox", version, max_term_width = 100, after_help = FIRST_STEPS)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const FIRST_STEPS: &str = "First steps:
  crunchbox new rainfall --lang clojure     (or javascript, typescript, python, rust)
  cd rainfall
  crunchbox test                            (builds it, and runs it on events/*.json)
  crunchbox run . -e events/oslo.json
  crunchbox deploy -m 'the first one'       (into .crunchbox/store, unless --store says s3://…)
  crunchbox run NAME@live -e event.json";

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "dev")]
    New(new::New),
    #[cfg(feature = "dev")]
    Init(new::Init),
    Run(run::Run),
    Build(build::Build),
    Check(check::Check),
    Test(test::Test),
    #[cfg(feature = "publish")]
    Deploy(release::Deploy),
    #[cfg(feature = "publish")]
    Release(release::Release),
    #[cfg(feature = "publish")]
    Promote(promote::Promote),
    #[cfg(feature = "publish")]
    Rollback(promote::Rollback),
    #[cfg(feature = "publish")]
    Diff(list::DiffCommand),
    #[cfg(feature = "publish")]
    List(list::List),
    #[cfg(feature = "publish")]
    Status(list::Status),
    #[cfg(feature = "publish")]
    History(list::History),
    #[cfg(feature = "dev")]
    Dev(Box<dev::Dev>),
    #[cfg(feature = "dev")]
    Invoke(invoke::Invoke),
    #[cfg(feature = "dev")]
    Package(package::Package),
    Config(config::Config),
    #[cfg(feature = "publish")]
    Keys(keys::Keys),
    #[cfg(feature = "publish")]
    Precompile(precompile::Precompile),
    #[cfg(feature = "publish")]
    Copy(copy::Copy),
    #[cfg(feature = "publish")]
    Prune(copy::Prune),
    #[cfg(feature = "publish")]
    Delete(promote::Delete),
    Event(event::Event),
    Explain(explain::Explain),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Whether reports are to be JSON.
    fn wants_json(&self) -> bool {
        match self {
            #[cfg(feature = "dev")]
            Self::New(new) => new.json,
            #[cfg(feature = "dev")]
            Self::Init(init) => init.json,
            Self::Run(run) => run.json,
            Self::Build(build) => build.json,
            Self::Check(check) => check.json,
            Self::Explain(explain) => explain.json,
            Self::Test(test) => test.json,
            #[cfg(feature = "dev")]
            Self::Dev(dev) => dev.json,
            #[cfg(feature = "dev")]
            Self::Invoke(invoke) => invoke.json,
            #[cfg(feature = "dev")]
            Self::Package(package) => package.json,
            #[cfg(feature = "publish")]
            Self::Deploy(deploy) => deploy.json,
            #[cfg(feature = "publish")]
            Self::Release(release) => release.json,
            #[cfg(feature = "publish")]
            Self::Promote(promote) => promote.channel.json,
            #[cfg(feature = "publish")]
            Self::Rollback(rollback) => rollback.channel.json,
            #[cfg(feature = "publish")]
            Self::Diff(diff) => diff.json,
            #[cfg(feature = "publish")]
            Self::List(list) => list.json,
            #[cfg(feature = "publish")]
            Self::Status(status) => status.json,
            #[cfg(feature = "publish")]
            Self::History(history) => history.json,
            Self::Config(config) => config.wants_json(),
            #[cfg(feature = "publish")]
            Self::Keys(keys) => keys.wants_json(),
            #[cfg(feature = "publish")]
            Self::Precompile(precompile) => precompile.json,
            #[cfg(feature = "publish")]
            Self::Copy(copy) => copy.json,
            #[cfg(feature = "publish")]
            Self::Prune(prune) => prune.json,
            #[cfg(feature = "publish")]
            Self::Delete(delete) => delete.channel.json,
            Self::Event(_) | Self::Completions { .. } => false,
        }
    }
}

/// Runs the program as it was called; returns its exit status.
pub fn main(arguments: Vec<OsString>, variables: Variables<'_>) -> ExitCode {
    #[cfg(feature = "compile")]
    if arguments
        .get(1)
        .is_some_and(|argument| argument == crate::engine::compile::CHILD_ARGUMENT)
    {
        let rest: Vec<String> = arguments[2..]
            .iter()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        return crate::engine::compile::child_main(&rest).into();
    }
    let is_bootstrap = arguments
        .first()
        .map(Path::new)
        .and_then(Path::file_name)
        .is_some_and(|name| name == "bootstrap");
    if is_bootstrap || (arguments.len() < 2 && settings::is_lambda(variables)) {
        return lambda(&arguments, variables);
    }
    command_line(&arguments, variables)
}

/// In a frame of its own: a start on Lambda touches no page of the stack that only commands have a use for.
#[inline(never)]
fn command_line(arguments: &[OsString], variables: Variables<'_>) -> ExitCode {
    match Arguments::try_parse_from(arguments) {
        Ok(parsed) => execute(&parsed.command, variables),
        // Help and version are results; clap knows which of the two streams each belongs to.
        Err(error) => {
            let _ = error.print();
            u8::try_from(error.exit_code()).unwrap_or(2).into()
        }
    }
}

fn execute(command: &Command, variables: Variables<'_>) -> ExitCode {
    let printer = match Printer::new(Style::json(command.wants_json()), variables) {
        Ok(printer) => printer,
        Err(failure) => return failure.code.meaning().exit.into(),
    };
    let outcome = block_on(run_command(command, &printer, variables)).flatten();
    printer.finish(outcome)
}

async fn run_command(
    command: &Command,
    printer: &Printer,
    variables: Variables<'_>,
) -> Result<u8, Failure> {
    match command {
        Command::Run(run) => return run.execute(printer, variables).await,
        #[cfg(feature = "dev")]
        Command::New(new) => new.execute(printer)?,
        #[cfg(feature = "dev")]
        Command::Init(init) => init.execute(printer)?,
        Command::Build(build) => build.execute(printer, variables).await?,
        Command::Check(check) => check.execute(variables).await?,
        Command::Test(test) => test.execute(printer, variables).await?,
        #[cfg(feature = "dev")]
        Command::Dev(dev) => return dev.execute(printer, variables).await,
        #[cfg(feature = "dev")]
        Command::Invoke(invoke) => return invoke.execute(printer, variables).await,
        #[cfg(feature = "dev")]
        Command::Package(package) => package.execute(printer, variables).await?,
        #[cfg(feature = "publish")]
        Command::Deploy(deploy) => deploy.execute(printer, variables).await?,
        #[cfg(feature = "publish")]
        Command::Release(release) => release.execute(printer, variables).await?,
        #[cfg(feature = "publish")]
        Command::Promote(promote) => promote.execute(printer, variables).await?,
        #[cfg(feature = "publish")]
        Command::Rollback(rollback) => rollback.execute(printer, variables).await?,
        #[cfg(feature = "publish")]
        Command::Diff(diff) => diff.execute(variables).await?,
        #[cfg(feature = "publish")]
        Command::List(list) => list.execute(variables).await?,
        #[cfg(feature = "publish")]
        Command::Status(status) => status.execute(variables).await?,
        #[cfg(feature = "publish")]
        Command::History(history) => history.execute(variables).await?,
        Command::Config(config) => config.execute(printer, variables).await?,
        #[cfg(feature = "publish")]
        Command::Keys(keys) => keys.execute(printer, variables).await?,
        #[cfg(feature = "publish")]
        Command::Precompile(precompile) => precompile.execute(printer, variables).await?,
        #[cfg(feature = "publish")]
        Command::Copy(copy) => copy.execute(printer, variables).await?,
        #[cfg(feature = "publish")]
        Command::Prune(prune) => prune.execute(printer, variables).await?,
        #[cfg(feature = "publish")]
        Command::Delete(delete) => delete.execute(printer, variables).await?,
        Command::Event(event) => event.execute()?,
        Command::Explain(explain) => explain.execute()?,
        Command::Completions { shell } => completions(*shell)?,
    }
    Ok(0)
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "crunchbox", &mut script);
    printer::result(&script)
}

/// Runs what has to wait, on this thread.
fn block_on<R>(future: impl Future<Output = R>) -> Result<R, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        Failure::new(
            Code::HostSetup,
            format!("the event loop cannot start: {error}"),
        )
    })?;
    let result = runtime.block_on(future);
    // What still works on another thread, such as a tool that builds, has nobody left to work for.
    runtime.shutdown_background();
    Ok(result)
}

#[cfg(feature = "lambda")]
fn lambda(arguments: &[OsString], variables: Variables<'_>) -> ExitCode {
    use crate::front::lambda::{Ended, serve};
    use crate::telemetry::{Log, Timings};
    let timings = match settings::timings_asked(variables) {
        true => Timings::begin(),
        false => Timings::default(),
    };
    let (format, level) = settings::lambda_log(variables);
    // Lambda's log filter reads what a runtime prints to standard output; nothing else is a result here.
    let Ok(log) = Log::new(format, level, std::io::stdout()) else {
        return Code::HostSetup.meaning().exit.into();
    };
    let log = log.timed(timings);
    report_panics(&log);
    // Boxed, since on the stack it would be moved about: pages that a start touches and has no use for.
    let ended = block_on(Box::pin(serve(variables, &log))).unwrap_or_else(Ended::Failed);
    log.flush();
    match ended {
        Ended::Failed(failure) => failure.code.meaning().exit.into(),
        Ended::Recycle => recycle(arguments),
        Ended::Stopped => ExitCode::SUCCESS,
    }
}

#[cfg(not(feature = "lambda"))]
fn lambda(_: &[OsString], variables: Variables<'_>) -> ExitCode {
    let failure = Failure::new(
        Code::HostSetup,
        "this build of crunchbox has no Lambda front",
    )
    .with_hint("build it with `--features lambda`");
    match Printer::new(Style::Text, variables) {
        Ok(printer) => printer.finish(Err(failure)),
        Err(failure) => failure.code.meaning().exit.into(),
    }
}

/// Replaces this process by a fresh one of the same program; returns only if the system refuses.
#[cfg(feature = "lambda")]
fn recycle(arguments: &[OsString]) -> ExitCode {
    use std::os::unix::process::CommandExt;
    let mut command = std::process::Command::new("/proc/self/exe");
    if let Some((name, rest)) = arguments.split_first() {
        command.arg0(name).args(rest);
    }
    let _refused = command.exec();
    Code::HostPanic.meaning().exit.into()
}

/// A panic of the host becomes one line of its log, in the log's own shape.
fn report_panics(log: &crate::telemetry::Log) {
    let log = log.clone();
    std::panic::set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or("without a message");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        log.host(
            crate::error::Level::Fatal,
            &format!("the host panicked: {message} at {place}"),
        );
        log.flush();
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
