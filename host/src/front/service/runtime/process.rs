//! One process and all that it starts: a group of its own, its output read by lines, its end seen and reaped. Knows no
//! event and no protocol.

use super::output::{Lines, Sink};
use crate::telemetry::Source;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// The file descriptors of a Lambda environment.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
const DESCRIPTORS_MAX: u64 = 1_024;

/// How long output that is there already may take to be read. Only a log that nobody reads makes it longer.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// How long a killed process may take to go: it does so at once, unless the system holds it.
const REAP_TIME: Duration = Duration::from_secs(2);

/// How often an executable is tried that somebody is still writing, or that a process just forked holds open.
const BUSY_TRIES: u32 = 50;
const BUSY_WAIT: Duration = Duration::from_millis(10);

/// How a process came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit(ExitStatus);

impl Exit {
    pub(super) fn is_success(self) -> bool {
        self.0.success()
    }
}

impl fmt::Display for Exit {
    /// As Lambda, which is written in Go, says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = self.0.code() {
            return write!(f, "exit status {code}");
        }
        let number = self.0.signal().unwrap_or_default();
        let name = match number {
            1 => "hangup",
            2 => "interrupt",
            3 => "quit",
            4 => "illegal instruction",
            5 => "trace/breakpoint trap",
            6 => "aborted",
            7 => "bus error",
            8 => "floating point exception",
            9 => "killed",
            11 => "segmentation fault",
            13 => "broken pipe",
            14 => "alarm clock",
            15 => "terminated",
            _ => return write!(f, "signal: {number}"),
        };
        let dumped = if self.0.core_dumped() {
            " (core dumped)"
        } else {
            ""
        };
        write!(f, "signal: {name}{dumped}")
    }
}

/// What to start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Launch<'a> {
    pub(super) executable: &'a Path,
    pub(super) folder: &'a Path,
    /// All that its environment holds.
    pub(super) variables: &'a [(String, OsString)],
}

/// A running process, or one that has ended. Dropping it kills it and all of its group.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    streams: Streams,
    is_reaped: Arc<AtomicBool>,
    exit: watch::Receiver<Option<Exit>>,
}

impl Process {
    /// Starts a process.
    ///
    /// # Errors
    /// The system's words when there is no such executable, or it can't be run.
    pub(super) async fn spawn(launch: Launch<'_>, sink: &Sink) -> io::Result<Self> {
        let mut child = spawn_unless_busy(launch).await?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the process has no id"))?;
        limit(pid);
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let streams = Streams(
            [
                out.map(|out| Stream::read(out, Lines::new(sink.clone(), Source::Stdout))),
                err.map(|err| Stream::read(err, Lines::new(sink.clone(), Source::Stderr))),
            ]
            .into_iter()
            .flatten()
            .collect(),
        );
        let (sender, exit) = watch::channel(None);
        let is_reaped = Arc::new(AtomicBool::new(false));
        tokio::spawn(reap(
            child,
            pid,
            Reaper {
                streams: streams.clone(),
                is_reaped: Arc::clone(&is_reaped),
                exit: sender,
            },
        ));
        Ok(Self {
            pid,
            streams,
            is_reaped,
            exit,
        })
    }

    /// Waits for its end; by then all that it wrote has been read.
    pub(super) fn exited(&self) -> impl Future<Output = Exit> + Send + use<> {
        let mut exit = self.exit.clone();
        async move {
            match exit.wait_for(Option::is_some).await {
                Ok(exit) => exit.unwrap_or(Exit(ExitStatus::from_raw(9))),
                // The one that reaps is gone with its runtime, and has killed the process.
                Err(_) => Exit(ExitStatus::from_raw(9)),
            }
        }
    }

    /// Waits until what it has written so far is read.
    pub(super) async fn drain(&self) {
        self.streams.drain().await;
    }

    /// Sends a signal to the process alone.
    pub(super) fn signal(&self, signal: Signal) {
        if !self.is_reaped.load(Ordering::Acquire) {
            // Nothing to do about a process that is gone.
            let _ = rustix::process::kill_process(self.pid, signal);
        }
    }

    /// Sends a signal to the process and to what it has started.
    pub(super) fn signal_group(&self, signal: Signal) {
        if !self.is_reaped.load(Ordering::Acquire) {
            let _ = rustix::process::kill_process_group(self.pid, signal);
        }
    }

    /// Kills the process and what it has started, and waits for its end.
    pub(super) async fn kill(&self) {
        self.signal_group(Signal::KILL);
        let _ = timeout(REAP_TIME, self.exited()).await;
    }

    /// The most memory that it has held, in MB; nothing once it has ended.
    /// Source: <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>, `VmHWM`.
    pub(super) fn memory_peak_mb(&self) -> Option<u64> {
        let path = format!("/proc/{}/status", self.pid.as_raw_pid());
        peak_mb(&std::fs::read_to_string(path).ok()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal_group(Signal::KILL);
    }
}

fn peak_mb(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.div_ceil(1_024))
}

async fn spawn_unless_busy(launch: Launch<'_>) -> io::Result<Child> {
    let mut command = Command::new(launch.executable);
    command
        .current_dir(launch.folder)
        .env_clear()
        .envs(launch.variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // So that Ctrl-C at the terminal does not reach it, and that all it starts can be stopped with it.
        .process_group(0)
        .kill_on_drop(true);
    let mut tries = 0;
    loop {
        match command.spawn() {
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES =>
            {
                tries += 1;
                sleep(BUSY_WAIT).await;
            }
            other => return other,
        }
    }
}

/// Lambda's limit on open files. From outside, since between fork and exec only unsafe code runs.
fn limit(pid: Pid) {
    let most = rustix::process::getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: Some(most.map_or(DESCRIPTORS_MAX, |most| most.min(DESCRIPTORS_MAX))),
        maximum: most,
    };
    // A process that has ended already needs no limit.
    let _ = rustix::process::prlimit(Some(pid), Resource::Nofile, limit);
}

struct Reaper {
    streams: Streams,
    is_reaped: Arc<AtomicBool>,
    exit: watch::Sender<Option<Exit>>,
}

async fn reap(mut child: Child, pid: Pid, reaper: Reaper) {
    let status = child.wait().await;
    reaper.is_reaped.store(true, Ordering::Release);
    // What it left behind. Ids are given out in turn, so that this one's is no other's yet.
    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    reaper.streams.drain().await;
    reaper.streams.abandon();
    let status = status.unwrap_or_else(|_| ExitStatus::from_raw(9));
    reaper.exit.send_replace(Some(Exit(status)));
}

/// The standard output and error of a process.
#[derive(Debug, Clone)]
struct Streams(Vec<Stream>);

impl Streams {
    async fn drain(&self) {
        for stream in &self.0 {
            let _ = timeout(DRAIN_TIME, stream.drain()).await;
        }
    }

    /// Reads no more. A process that has left the group could otherwise hold the stream open for ever.
    fn abandon(&self) {
        for stream in &self.0 {
            stream.reader.abort();
        }
    }
}

#[derive(Debug, Clone)]
struct Stream {
    drains: mpsc::Sender<oneshot::Sender<()>>,
    reader: AbortHandle,
}

impl Stream {
    fn read(from: impl AsyncRead + AsFd + Unpin + Send + 'static, lines: Lines) -> Self {
        let (drains, requests) = mpsc::channel(1);
        let reader = tokio::spawn(read_lines(from, lines, requests)).abort_handle();
        Self { drains, reader }
    }

    async fn drain(&self) {
        let (done, wait) = oneshot::channel();
        if self.drains.send(done).await.is_ok() {
            let _ = wait.await;
        }
    }
}

async fn read_lines(
    mut from: impl AsyncRead + AsFd + Unpin,
    mut lines: Lines,
    mut drains: mpsc::Receiver<oneshot::Sender<()>>,
) {
    let mut chunk = vec![0; 16 << 10];
    loop {
        tokio::select! {
            count = from.read(&mut chunk) => match count {
                Ok(0) | Err(_) => break,
                Ok(count) => lines.push(chunk.get(..count).unwrap_or_default()),
            },
            Some(done) = drains.recv() => {
                // As much as lies in the pipe now: what a process wrote before it answered an event is in there,
                // even if its readiness has not been noticed yet.
                let mut left = rustix::io::ioctl_fionread(&from).unwrap_or_default();
                while left > 0 {
                    let Ok(count @ 1..) = from.read(&mut chunk).await else { break };
                    lines.push(chunk.get(..count).unwrap_or_default());
                    left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
                }
                lines.close();
                let _ = done.send(());
            }
        }
        lines.settle().await;
    }
    lines.close();
    while let Some(done) = drains.recv().await {
        let _ = done.send(());
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tail::Tail;
    use super::super::output::Current;
    use super::super::testing::{Script, silent_log};
    use super::*;

    async fn spawn(script: &Script) -> (Process, Tail) {
        let tail = Tail::default();
        let sink = Sink::new(silent_log(), "crunch");
        sink.turn_to(Some(Current {
            request_id: None,
            tail: tail.clone(),
        }));
        let launch = Launch {
            executable: script.path(),
            folder: Path::new("/"),
            variables: &[("NAME".to_owned(), "value".into())],
        };
        (Process::spawn(launch, &sink).await.unwrap(), tail)
    }

    #[tokio::test]
    async fn the_end_of_a_process_is_told_as_lambda_tells_it() {
        for (text, words) in [
            ("exit 0", "exit status 0"),
            ("exit 3", "exit status 3"),
            ("kill -9 $$", "signal: killed"),
            ("kill -15 $$", "signal: terminated"),
        ] {
            let script = Script::new(text);
            let (process, _) = spawn(&script).await;
            assert_eq!(process.exited().await.to_string(), words);
            assert_eq!(process.memory_peak_mb(), None, "reaped, no zombie");
        }
    }

    #[tokio::test]
    async fn all_that_a_process_wrote_is_read_before_its_end_is_told() {
        let script = Script::new("echo one; printf two; echo $NAME >&2");
        let (process, tail) = spawn(&script).await;
        process.exited().await;
        let text = String::from_utf8(tail.take().to_vec()).unwrap();
        for line in ["one\n", "two\n", "value\n"] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[tokio::test]
    async fn what_has_been_written_is_there_after_a_drain_though_the_process_runs_on() {
        let script = Script::new("echo ready; echo > \"$0.said\"; exec sleep 600");
        let (process, tail) = spawn(&script).await;
        script.said().await;
        process.drain().await;
        assert_eq!(tail.take(), "ready\n");
        assert!(process.memory_peak_mb().is_some_and(|peak| peak > 0));
        process.kill().await;
    }

    #[tokio::test]
    async fn a_killed_process_takes_with_it_what_it_has_started() {
        let script = Script::new("(echo up; exec sleep 600) > \"$0.said\" & wait");
        let (process, _) = spawn(&script).await;
        let said = script.said().await;
        process.kill().await;
        assert_eq!(process.exited().await.to_string(), "signal: killed");
        said.closed().await;
    }

    #[tokio::test]
    async fn the_end_is_told_though_something_that_left_the_group_holds_the_output_open() {
        let script = Script::new("setsid sleep 5 & exit 7");
        let (process, _) = spawn(&script).await;
        assert_eq!(process.exited().await.to_string(), "exit status 7");
    }

    #[tokio::test]
    async fn what_cannot_be_run_says_why() {
        let sink = Sink::new(silent_log(), "crunch");
        for path in ["/no/such/bootstrap", "/etc/passwd", "/"] {
            let launch = Launch {
                executable: Path::new(path),
                folder: Path::new("/"),
                variables: &[],
            };
            assert!(Process::spawn(launch, &sink).await.is_err(), "{path}");
        }
    }

    #[test]
    fn the_peak_is_read_in_whole_megabytes_and_nonsense_is_none() {
        assert_eq!(peak_mb("Name:\tx\nVmHWM:\t    2049 kB\n"), Some(3));
        for text in ["", "VmHWM:\tmuch kB\n", "VmHWM:\t2049\n"] {
            assert_eq!(peak_mb(text), None);
        }
    }
}
