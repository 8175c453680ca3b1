//! What a component is linked with: the interfaces that it imports, and no others. Linking all that this host offers would be a
//! quarter of the work of a start.

use super::{GuestState, LoadError, Shape};
use crate::bindings::HostedPre;
use crate::engine::artifact::Artifact;
use crate::engine::{Engines, Loaded, Ticker};
use crate::interface::{config, digests, http, invocation, log, objects, scratch, sockets};
use crate::quantity::Bytes;
use crate::telemetry::Timings;
use std::collections::BTreeSet;
use std::sync::Arc;
use wasmtime::Engine;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::sockets as wasi_sockets;
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
use wasmtime_wasi::random::{WasiRandom, WasiRandomCtx};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView};
use wasmtime_wasi_io::IoView;

type Add = fn(&mut Linker<GuestState>) -> wasmtime::Result<()>;

/// Interfaces by their names without a version, and what adds them. A component imports all that it has types of by name, so
/// none of these has to bring another.
const ADDS: &[(&[&str], Add)] = &[
    (&["crunchbox:function/invocation"], |linker| {
        invocation::add_to_linker(linker, |state| &state.facts)
    }),
    (
        &["crunchbox:function/config", "wasi:config/store"],
        |linker| config::add_to_linker(linker, |state| &state.config),
    ),
    (&["crunchbox:function/log"], |linker| {
        log::add_to_linker(linker, |state| &state.config.log)
    }),
    (&["crunchbox:function/digests"], |linker| {
        digests::add_to_linker(linker, |state| &mut state.table)
    }),
    (&["crunchbox:function/objects"], |linker| {
        objects::add_to_linker(linker, GuestState::objects)
    }),
    (
        &["wasi:io/error", "wasi:io/poll", "wasi:io/streams"],
        wasmtime_wasi_io::add_to_linker_async,
    ),
    (
        &["wasi:http/types", "wasi:http/outgoing-handler"],
        http::add_to_linker,
    ),
    // Ours in the place of WASI's: files within a quota, connections that a grant allows.
    (&["wasi:filesystem/types"], |linker| {
        scratch::add_to_linker(linker, GuestState::files)
    }),
    (
        &[
            "wasi:sockets/tcp",
            "wasi:sockets/tcp-create-socket",
            "wasi:sockets/ip-name-lookup",
        ],
        |linker| sockets::add_to_linker(linker, GuestState::sockets),
    ),
    // WASI's own, from here on.
    (&["wasi:filesystem/preopens"], |linker| {
        filesystem::preopens::add_to_linker::<_, WasiFilesystem>(
            linker,
            WasiFilesystemView::filesystem,
        )
    }),
    (&["wasi:sockets/network"], |linker| {
        let options = wasi_sockets::network::LinkOptions::default();
        wasi_sockets::network::add_to_linker::<_, WasiSockets>(
            linker,
            &options,
            WasiSocketsView::sockets,
        )
    }),
    (&["wasi:sockets/instance-network"], |linker| {
        wasi_sockets::instance_network::add_to_linker::<_, WasiSockets>(
            linker,
            WasiSocketsView::sockets,
        )
    }),
    (&["wasi:sockets/udp"], |linker| {
        wasi_sockets::udp::add_to_linker::<_, WasiSockets>(linker, WasiSocketsView::sockets)
    }),
    (&["wasi:sockets/udp-create-socket"], |linker| {
        wasi_sockets::udp_create_socket::add_to_linker::<_, WasiSockets>(
            linker,
            WasiSocketsView::sockets,
        )
    }),
    (&["wasi:clocks/wall-clock"], |linker| {
        clocks::wall_clock::add_to_linker::<_, WasiClocks>(linker, WasiClocksView::clocks)
    }),
    (&["wasi:clocks/monotonic-clock"], |linker| {
        clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(linker, WasiClocksView::clocks)
    }),
    (&["wasi:random/random"], |linker| {
        random::random::add_to_linker::<_, WasiRandom>(linker, numbers)
    }),
    (&["wasi:random/insecure"], |linker| {
        random::insecure::add_to_linker::<_, WasiRandom>(linker, numbers)
    }),
    (&["wasi:random/insecure-seed"], |linker| {
        random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, numbers)
    }),
    (&["wasi:cli/exit"], |linker| {
        cli::exit::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)
    }),
    (&["wasi:cli/environment"], |linker| {
        cli::environment::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)
    }),
    (&["wasi:cli/stdin"], |linker| {
        cli::stdin::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)
    }),
    (&["wasi:cli/stdout"], |linker| {
        cli::stdout::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)
    }),
    (&["wasi:cli/stderr"], |linker| {
        cli::stderr::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)
    }),
    (&["wasi:cli/terminal-input"], |linker| {
        cli::terminal_input::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)
    }),
    (&["wasi:cli/terminal-output"], |linker| {
        cli::terminal_output::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)
    }),
    (&["wasi:cli/terminal-stdin"], |linker| {
        cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)
    }),
    (&["wasi:cli/terminal-stdout"], |linker| {
        cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)
    }),
    (&["wasi:cli/terminal-stderr"], |linker| {
        cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)
    }),
];

fn numbers(state: &mut GuestState) -> &mut WasiRandomCtx {
    state.ctx().ctx.random()
}

impl IoView for GuestState {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

/// Native code, mapped and linked with what it imports: all of a guest that its configuration has no say in.
pub(crate) struct Linked {
    pub(super) pre: HostedPre<GuestState>,
    /// What interrupts it; none where the process is replaced instead.
    pub(super) clock: Option<Arc<Ticker>>,
    /// The size of the native code.
    pub(super) bytes: u64,
    /// The stack that it was loaded for.
    stack: Bytes,
}

impl std::fmt::Debug for Linked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linked")
            .field("bytes", &self.bytes)
            .field("stack", &self.stack)
            .finish_non_exhaustive()
    }
}

impl Linked {
    /// Maps native code and links it.
    ///
    /// # Errors
    /// [`LoadError`], naming the export or import that does not fit and what was expected.
    pub(crate) fn load(
        engines: &Engines,
        artifact: &Artifact,
        stack: Bytes,
        timings: &Timings,
    ) -> Result<Self, LoadError> {
        let loaded = engines
            .load(artifact, stack, timings)
            .map_err(LoadError::Engine)?;
        timings.mark("native code mapped");
        let shape = Shape::of_loaded(&loaded);
        let missing = shape.not_offered();
        if !missing.is_empty() {
            return Err(LoadError::ImportNotOffered { imports: missing });
        }
        if !shape.has_handler() {
            return Err(LoadError::NoHandler {
                exports: shape.exports,
            });
        }
        let pre = pre(&loaded, &shape).map_err(|error| LoadError::Mismatch {
            problem: format!("{error:#}"),
        })?;
        timings.mark("imports linked");
        Ok(Self {
            pre,
            clock: loaded.clock,
            bytes: artifact.bytes(),
            stack,
        })
    }

    /// Whether it will do for a guest with this stack.
    pub(crate) fn is_for(&self, stack: Bytes) -> bool {
        self.stack == stack
    }
}

fn pre(loaded: &Loaded, shape: &Shape) -> wasmtime::Result<HostedPre<GuestState>> {
    let linker = linker(&loaded.engine, &shape.imports)?;
    HostedPre::new(linker.instantiate_pre(&loaded.component)?)
}

/// A linker with what these imports name. What none of it adds is found missing when the component is linked.
fn linker(engine: &Engine, imports: &[String]) -> wasmtime::Result<Linker<GuestState>> {
    let unversioned = |import: &'_ String| import.split('@').next().unwrap_or_default().to_owned();
    let imports: BTreeSet<String> = imports.iter().map(unversioned).collect();
    let mut linker = Linker::new(engine);
    for (interfaces, add) in ADDS {
        if interfaces.iter().any(|name| imports.contains(*name)) {
            add(&mut linker)?;
        }
    }
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that components may import, each with a function or a resource that is in it.
    const INTERFACES: &[(&str, &str)] = &[
        ("crunchbox:function/config", "tree"),
        ("crunchbox:function/digests", "digest"),
        ("crunchbox:function/invocation", "request-id"),
        ("crunchbox:function/log", "emit"),
        ("crunchbox:function/objects", "reader"),
        ("wasi:cli/environment", "get-environment"),
        ("wasi:cli/exit", "exit"),
        ("wasi:cli/stderr", "get-stderr"),
        ("wasi:cli/stdin", "get-stdin"),
        ("wasi:cli/stdout", "get-stdout"),
        ("wasi:cli/terminal-input", "terminal-input"),
        ("wasi:cli/terminal-output", "terminal-output"),
        ("wasi:cli/terminal-stderr", "get-terminal-stderr"),
        ("wasi:cli/terminal-stdin", "get-terminal-stdin"),
        ("wasi:cli/terminal-stdout", "get-terminal-stdout"),
        ("wasi:clocks/monotonic-clock", "now"),
        ("wasi:clocks/wall-clock", "now"),
        ("wasi:config/store", "get"),
        ("wasi:filesystem/preopens", "get-directories"),
        ("wasi:filesystem/types", "descriptor"),
        ("wasi:http/outgoing-handler", "handle"),
        ("wasi:http/types", "fields"),
        ("wasi:io/error", "error"),
        ("wasi:io/poll", "poll"),
        ("wasi:io/streams", "input-stream"),
        ("wasi:random/insecure", "get-insecure-random-u64"),
        ("wasi:random/insecure-seed", "insecure-seed"),
        ("wasi:random/random", "get-random-u64"),
        ("wasi:sockets/instance-network", "instance-network"),
        ("wasi:sockets/ip-name-lookup", "resolve-addresses"),
        ("wasi:sockets/network", "network"),
        ("wasi:sockets/tcp", "tcp-socket"),
        ("wasi:sockets/tcp-create-socket", "create-tcp-socket"),
        ("wasi:sockets/udp", "udp-socket"),
        ("wasi:sockets/udp-create-socket", "create-udp-socket"),
    ];

    /// Whether what is added for these imports has the interface, of whichever version: a linker takes no name twice.
    fn adds(imports: &[String], (interface, item): (&str, &str)) -> bool {
        let mut linker = linker(&Engine::default(), imports).unwrap();
        let versions = (0..30).map(|patch| format!("0.2.{patch}"));
        let mut versions = versions.chain(["0.1.0", "0.2.0-rc.1"].map(str::to_owned));
        versions.any(|version| {
            let mut instance = linker.instance(&format!("{interface}@{version}")).unwrap();
            instance.func_wrap(item, |_, (): ()| Ok(())).is_err()
        })
    }

    #[test]
    fn each_interface_is_added_for_whoever_imports_it_in_any_version_and_for_nobody_else() {
        for each in INTERFACES {
            let import = format!("{}@0.2.3", each.0);
            assert!(adds(&[import], *each), "{each:?}");
            assert!(!adds(&[], *each), "{each:?}");
        }
    }

    #[test]
    fn all_of_them_can_be_imported_at_once_and_the_table_names_no_other() {
        let all: Vec<String> = INTERFACES
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        assert!(INTERFACES.iter().all(|each| adds(&all, *each)));
        let named = ADDS.iter().flat_map(|(names, _)| *names).copied();
        let named: BTreeSet<&str> = named.collect();
        assert_eq!(named, INTERFACES.iter().map(|(name, _)| *name).collect());
    }
}
