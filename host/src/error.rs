//! The stable codes of every failure, who is to blame for each, and the one table that maps a code to what the outside
//! sees: Lambda's `errorType`, the exit status, the log level. Knows no area of the program: areas implement [`Fault`].

use std::error::Error;
use std::fmt;

/// Who has to act on a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The author of the component.
    Guest,
    /// Whoever sent the event or typed the command.
    Caller,
    /// Whoever wrote the configuration.
    Config,
    /// Whoever puts components where this host finds them: a store, a package, a folder.
    Store,
    /// The operator of this host, or its developers.
    Host,
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guest => "guest",
            Self::Caller => "caller",
            Self::Config => "config",
            Self::Store => "store",
            Self::Host => "host",
        })
    }
}

/// How severe a log line is; Lambda's six levels, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Steps inside the host.
    Trace,
    /// What a developer asks for.
    Debug,
    /// What happened.
    Info,
    /// What somebody should look at.
    Warn,
    /// An event failed.
    Error,
    /// This environment cannot go on.
    Fatal,
}

impl Level {
    /// The name as Lambda's log filter spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }

    /// Reads a name in any case, as `AWS_LAMBDA_LOG_LEVEL` has it.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Trace,
            Self::Debug,
            Self::Info,
            Self::Warn,
            Self::Error,
            Self::Fatal,
        ]
        .into_iter()
        .find(|level| level.as_str().eq_ignore_ascii_case(text))
    }
}

/// What the table says of a code.
#[derive(Debug, Clone, Copy)]
pub struct Meaning {
    /// The stable name, `Crunchbox.` and a word: Lambda's `errorType` unless the guest chose a kind.
    pub name: &'static str,
    /// Who has to act.
    pub blame: Blame,
    /// The exit status of a command that ends so.
    pub exit: u8,
    /// The level of the line that reports it.
    pub level: Level,
    /// What happened, in one sentence.
    pub summary: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($code:ident $exit:literal $blame:ident $level:ident $summary:literal $remedy:literal;)*) => {
        /// A stable code: what failed, told apart by what somebody would do about it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $summary] $code,)* }

        impl Code {
            /// Every code, in the order of their exit statuses.
            pub const ALL: &'static [Self] = &[$(Self::$code,)*];

            /// The row of the table: the only map from a code to the outside.
            pub fn meaning(self) -> Meaning {
                match self {
                    $(Self::$code => Meaning {
                        name: concat!("Crunchbox.", stringify!($code)),
                        blame: Blame::$blame,
                        exit: $exit,
                        level: Level::$level,
                        summary: $summary,
                        remedy: $remedy,
                    },)*
                }
            }
        }
    };
}

codes! {
    GuestFailure 10 Guest Error "The handler returned a failure."
        "The kind and the message are the function's own; its author knows what they ask for.";
    GuestPanic 11 Guest Error "The guest panicked, or an exception was not caught."
        "The message, the place and the trace name the line; return a failure for what can be expected.";
    MemoryLimit 12 Guest Error "The guest asked for more memory than its limit."
        "Raise `limits.memory` in crunchbox.toml (`--memory` for one run, MemorySize on Lambda), or hold less at a time.";
    TimeLimit 13 Guest Error "The guest did not finish in time and was stopped."
        "Raise `limits.time` in crunchbox.toml (`--time` for one run, Timeout on Lambda), or ask `remaining-ms` and stop early.";
    StackLimit 14 Guest Error "The guest's call stack grew beyond its limit."
        "Look for a recursion without an end in the trace, or turn it into a loop.";
    Trap 15 Guest Error "The guest did what WebAssembly forbids, such as reaching `unreachable` or dividing by zero."
        "The message names the trap and the trace the place; build with debug lines to see file and line.";
    GuestExit 16 Guest Error "The guest ended its process instead of returning."
        "Return a response or a failure; do not call `exit` in a handler.";
    ResponseNotJson 17 Guest Error "The response is not one JSON text."
        "Return exactly one JSON value in UTF-8; a plain string needs its quotes.";
    ResponseTooLarge 18 Guest Error "The response is longer than the limit."
        "Return less, or put the result into S3 and return where it is.";
    ReservedKind 19 Guest Error "The handler returned a failure whose kind is not a guest's to use."
        "Choose a kind of your own: letters, digits, `.`, `_`, `-`, at most 128 bytes, not starting with `Crunchbox.`.";
    ComponentMissing 20 Store Error "There is no component at the path."
        "Check the path; `crunchbox build DIR` makes a component from sources.";
    ComponentUnreadable 21 Store Error "The component cannot be read."
        "Check the permissions of the file and of the folders above it.";
    ComponentEmpty 22 Guest Error "The component is an empty file."
        "Build it again; an empty file is often an interrupted download or a full disk.";
    ComponentNotWasm 23 Guest Error "The file is not WebAssembly."
        "Name a `.wasm` component, or a folder with a crunchbox.toml to build one.";
    ComponentIsModule 24 Guest Error "The file is a core WebAssembly module, not a component."
        "Build for `wasm32-wasip2` (`crunchbox build` does), or wrap it with `wasm-tools component new`.";
    ComponentInvalid 25 Guest Error "The component is damaged or uses what this host does not support."
        "Build or download it again; compare its size and digest with the original.";
    ComponentWrongWorld 26 Guest Error "The component does not fit the world `crunchbox:function`."
        "Export the handler with an SDK, and import only what `crunchbox check` lists as offered.";
    ComponentTooLarge 27 Guest Error "The component is larger than the host reads."
        "Build with optimisation and without debug sections (`crunchbox build` does).";
    CompileTimeLimit 30 Guest Error "Compiling the component took too long and was stopped."
        "Look for machine-made code of extreme size in it; raise `--compile-time` if it is to be so.";
    CompileMemoryLimit 31 Guest Error "Compiling the component took too much memory and was stopped."
        "Look for machine-made code of extreme size in it; raise `--compile-memory` if it is to be so.";
    CompileFailed 32 Host Error "The component could not be compiled."
        "The message has the compiler's words; if the component is sound, please report them as a bug.";
    ArtifactMissing 33 Store Error "This host has no compiler, and found no artifact of the component for its engine."
        "Run `crunchbox precompile COMPONENT` with the same version of crunchbox, and deploy its output beside it.";
    ArtifactRefused 34 Store Error "An artifact is not what its statement says, or does not fit this engine."
        "Run `crunchbox precompile COMPONENT` again; native code is never loaded without proof of its origin.";
    HandleLimit 35 Guest Error "The guest held more resource handles than its limit."
        "Let go of streams, sockets and pollables that are done with, or raise `limits.handles` in crunchbox.toml.";
    HostCallLimit 36 Guest Error "One call of the guest passed the host more than its limit."
        "Pass less at once; the message names the limit of [limits] in crunchbox.toml.";
    PartsLimit 37 Guest Error "The guest has more instances, memories, tables or table elements than its limit."
        "Raise `limits.instances` or `limits.tables` in crunchbox.toml, if the component is to be so large.";
    EventNotJson 40 Caller Error "The event is not one JSON text."
        "Send exactly one JSON value in UTF-8; a plain string needs its quotes.";
    EventTooLarge 41 Caller Error "The event is longer than Lambda allows."
        "Send a reference (such as an S3 key) instead of the data; the limit is 6,291,456 bytes.";
    EventUnreadable 42 Caller Error "The event cannot be read."
        "Check the path and its permissions; `crunchbox event sns` makes a sample.";
    ClientContext 43 Caller Warn "The caller's client context is not one JSON text."
        "Send the context as one JSON object, base64-encoded once, in X-Amz-Client-Context.";
    ConfigInvalid 50 Config Error "The configuration cannot be read or merged."
        "The message names the file, the variable or the argument, and the place in it.";
    ConfigNotTable 51 Config Error "A configuration path leads through a value that is not a table."
        "Compare the path in the handler with the configuration files.";
    ConfigUnmet 57 Config Error "A value that must be given is not."
        "Give it in a stronger layer; `crunchbox config explain` shows what each layer says, and what the marker says it is for.";
    ConfigMismatch 58 Config Error "Layers of the configuration contradict each other, or the function's schema."
        "The message names the path, the layer, the file and the line; `crunchbox config explain PATH` shows the whole chain.";
    SecretDenied 59 Config Error "The configuration refers to a secret that the release may not have."
        "Name it under `secrets` in [grants] of crunchbox.toml, and within those of policy.toml; variables of the platform are never given.";
    SecretUnavailable 63 Config Error "A secret that the configuration refers to cannot be had."
        "The message has the keeper's words. Where AWS is out of reach, a local layer can hold a stand-in.";
    ManifestInvalid 52 Config Error "crunchbox.toml cannot be read or says what it must not."
        "The message names the key, what was expected and what was found.";
    SettingInvalid 53 Config Error "A setting from the environment or the command line is not usable."
        "The message names the setting, what was expected and what was found.";
    ToolchainMissing 60 Host Error "What builds this kind of project is not installed."
        "Run the printed command, or repeat yours with `--setup` to have it run for you.";
    BuildFailed 61 Guest Error "The project does not build."
        "The compiler's words stand above; correct the source and build again.";
    OutputFailed 62 Caller Error "A result cannot be written."
        "Check the path, its permissions and the free space of the disk.";
    AddressInvalid 54 Caller Error "A name is not a function's, a channel's or an address."
        "Write `crunch`, `crunch@live`, `crunch@live:41` or `crunch@` and at least eight digits of a release.";
    PolicyInvalid 55 Config Error "policy.toml cannot be read or says what it must not."
        "The message names the key, what was expected and what was found.";
    KeyMissing 56 Caller Error "There is no secret key here whose signature the policy would accept."
        "Name one with `--key`, or make one with `crunchbox keys new`, which also adds it to policy.toml.";
    GrantInvalid 64 Config Error "A grant cannot be read, filled or kept."
        "The message names the kind, the entry and what was expected; templates are filled from base and channel only.";
    GrantBeyondPolicy 65 Config Error "A release asks to reach more than the operator's policy allows."
        "Ask for less in [grants] of crunchbox.toml, or have policy.toml allow it and deploy the package again.";
    ObjectDenied 66 Config Error "The guest asked for an object that nothing grants."
        "Name the prefix and what is done there under `objects` in [grants] of crunchbox.toml.";
    ObjectUnavailable 67 Host Error "An object cannot be read, written or listed."
        "The message has the store's words; check that the host's role may do it.";
    HostPanic 70 Host Fatal "The host itself failed while it handled the event."
        "The event was answered and this environment starts afresh; please report the message as a bug.";
    Busy 71 Host Warn "No place for an instance came free in time."
        "Raise the function's concurrency limit, or send fewer events at once.";
    HostSetup 72 Host Fatal "This machine lacks what the host needs to start, or to make an instance."
        "The message names what is missing: address space, threads, a folder of one's own for the cache (`--cache`).";
    RuntimeApi 73 Host Fatal "Lambda's Runtime API did not answer as its contract says."
        "Nothing to do on Lambda: the environment is replaced. Elsewhere check AWS_LAMBDA_RUNTIME_API.";
    ServiceUnreachable 74 Host Error "Lambda, or what stands in for it, cannot be reached or does not answer as it should."
        "Start `crunchbox dev`, or check endpoint, region and network; an event that was sent may have run.";
    ServiceRefused 75 Caller Error "Lambda, or what stands in for it, refused the request."
        "The message has its words; check credentials, permissions, region and parameters.";
    StoreUnreachable 80 Store Warn "The store did not answer in time, or broke off."
        "It is tried again by itself. In a VPC, S3 needs a gateway endpoint; else check region, endpoint and network.";
    StoreDenied 81 Store Error "The store denies access."
        "Allow s3:GetObject on the prefix (s3:PutObject for releasing), and s3:ListBucket, so that a missing object is not reported as denied.";
    StoreUnusable 82 Store Error "The store cannot be used as it is."
        "The message has the store's words: a bucket that is not there, missing credentials, a full disk, no conditional writes.";
    ObjectMissing 83 Store Error "What a channel or a release names is not in the store."
        "Run `crunchbox release` again, or `crunchbox copy` from the store that has it.";
    ObjectDamaged 84 Store Error "An object of the store does not have the digest or the size that it was named by."
        "Run `crunchbox release` again in a store without the damaged object; look who can write the bucket.";
    FormatUnknown 85 Store Error "An object of the store has a format or keys that this version does not know."
        "Update the host to the version that wrote it, or write it again with this one.";
    SignatureInvalid 86 Store Error "A signature is missing, does not fit, or is by a key that the policy does not trust for it."
        "Sign with a trusted key (`crunchbox keys resign`), or add the key to policy.toml and deploy the package again.";
    WrongPlace 87 Store Error "An object belongs to another function or channel than the place it was found in."
        "Somebody copied it there by hand; promote the release to the channel instead.";
    SequenceBack 88 Store Error "The channel has a smaller sequence number than one already seen."
        "Use `crunchbox rollback` to go back; a channel deleted by hand goes on with `crunchbox promote --after NUMBER`.";
    ChannelExpired 89 Store Error "The channel's state was to be believed until a time that has passed."
        "Promote again, or `crunchbox keys resign` with a later `--not-after`.";
    ReleaseTooLarge 90 Store Error "The new release and the old one do not fit this host's memory together."
        "Raise MemorySize of the Lambda function, or make the component smaller.";
    SmokeFailed 91 Guest Error "An instance of the release could not be made, so it does not replace the one that serves."
        "The message says why; try the release with `crunchbox run`.";
    ChannelMissing 92 Caller Error "There is no such function, channel, state or release in the store."
        "`crunchbox list` says what is there.";
    ChannelConflict 93 Caller Error "The channel was moved by somebody else meanwhile."
        "Look at `crunchbox history`, and repeat the command if it is still what you want.";
    GrantsWider 94 Caller Error "The release may reach more than the one it would replace."
        "Read what it asks for; repeat with `--allow-grants` if it is to have it.";
    TestFailed 95 Guest Error "An event of the project did not come out as expected."
        "The report above names the event; `crunchbox test --update` takes the new responses for right.";
    GrantUnknown 96 Store Error "The release asks for a kind of grant that this host does not have."
        "Update the host, or release without that grant.";
}

impl Code {
    /// The stable name, such as `Crunchbox.MemoryLimit`.
    pub fn name(self) -> &'static str {
        self.meaning().name
    }

    /// Finds a code by its name, with or without the prefix, in any case; or by its exit status.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| {
            let name = code.name();
            name.eq_ignore_ascii_case(text)
                || name["Crunchbox.".len()..].eq_ignore_ascii_case(text)
                || code.meaning().exit.to_string() == text
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error of some area, classified. Each area implements this beside its enum, by a `match` without a wildcard.
pub trait Fault: Error {
    /// The stable code.
    fn code(&self) -> Code;

    /// The next step, where more is known than the code's general remedy.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// An error and its causes in one line, each said once.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Why an event got no response, or a command no result: what reports, logs and callers are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The stable code.
    pub code: Code,
    /// Lambda's `errorType`: the guest's own kind for [`Code::GuestFailure`], else the code's name.
    pub kind: String,
    /// What happened, for a person.
    pub message: String,
    /// Places in the guest, innermost first.
    pub trace: Vec<String>,
    /// Whatever else the guest said of it, as one JSON text.
    pub details: Option<String>,
    /// The next step, where more is known than the code's general remedy.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure whose kind is its code's name.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            kind: code.name().to_owned(),
            message: message.into(),
            trace: Vec::new(),
            details: None,
            hint: None,
        }
    }

    /// The same with a next step.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl<F: Fault> From<F> for Failure {
    fn from(fault: F) -> Self {
        Self {
            hint: fault.hint(),
            ..Self::new(fault.code(), chain(&fault))
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}): {}",
            self.kind,
            self.code.meaning().blame,
            self.message
        )
    }
}

impl Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_has_an_exit_status_of_its_own() {
        let exits: HashSet<u8> = Code::ALL.iter().map(|code| code.meaning().exit).collect();
        assert_eq!(exits.len(), Code::ALL.len());
        assert!(
            exits.iter().all(|exit| (10..=99).contains(exit)),
            "0 to 2 have fixed meanings"
        );
    }

    #[test]
    fn a_code_is_found_by_its_name_with_or_without_the_prefix() {
        for &code in Code::ALL {
            assert_eq!(Code::parse(code.name()), Some(code));
            assert_eq!(
                Code::parse(&code.name()["Crunchbox.".len()..].to_lowercase()),
                Some(code)
            );
        }
        assert_eq!(Code::parse("Crunchbox.Nonsense"), None);
    }

    #[test]
    fn the_chain_names_each_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read `a.toml`")]
        struct Outer(#[source] std::io::Error);
        let outer = Outer(std::io::Error::other("disk on fire"));
        assert_eq!(chain(&outer), "cannot read `a.toml`: disk on fire");
    }
}
