//! Damaged components, and bytes that only begin like one: compiled by the real child, loaded, and run under small limits. They
//! are refused or stopped as their own fault, the next honest event is served, and nothing of them stays in the process.

use super::holds;
use super::wasm::{Sound, case};
use crate::rig::alone::{alone, held, run_alone};
use crate::rig::{Rig, Started, compiler, component, guest};
use crunchbox::component::Component;
use crunchbox::config::Config;
use crunchbox::engine::Artifacts;
use crunchbox::engine::compile::{CompileLimits, Compiler};
use crunchbox::engine::folder::TrustedFolder;
use crunchbox::engine::key::Interruption;
use crunchbox::error::{Blame, Code, Failure};
use crunchbox::event::Identity;
use crunchbox::guest::{Guest, Parts};
use crunchbox::limit::{Limits, Says, Wanted};
use crunchbox::quantity;
use crunchbox::reach::Reach;
use crunchbox::release::SealedLimits;
use crunchbox::secret::Vault;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Each is compiled by a process of its own.
const CASES: u32 = 80;

/// After so many, what the process needs for all of them is there.
const WARM: u32 = 25;

/// How much a process may hold more than when it was warm: less than what was compiled since.
const KEPT_KIB: usize = 16 << 10;
const KEPT_FILES: usize = 16;

const LIMITS_CASES: u32 = 40;

/// How long an event of theirs may take.
const HOSTILE_TIME: Duration = Duration::from_millis(200);

/// What compiling a sound one takes several times over.
const COMPILE: CompileLimits = CompileLimits {
    time: quantity::Time(Duration::from_secs(10)),
    memory: quantity::Bytes::mebi(256),
};

/// A text that is answered with itself, a number that a guest is made for, and what is neither.
const EVENTS: [&str; 3] = [r#""ok""#, "2", "[]"];

/// Files of sound components. The last one is written as text: most of what it has is run by an event.
const SOUND: [&str; 3] = ["echo.wasm", "count.wasm", "component.wasm"];

/// Does a little of everything that a guest can do, as often as an event says.
const BUSY: &str = "(local $at i32)
    (loop $more
      (call $emit (i32.const 2) (i32.const 64) (i32.const 9) (i32.const 0) (i32.const 0))
      (call $source (i32.const 0) (i32.const 0) (i32.const 16))
      (call $key (i32.const 64) (i32.const 5) (i32.const 16))
      (call $random (i64.const 16) (i32.const 16))
      (call $write (call $stdout) (i32.const 64) (i32.const 9) (i32.const 16))
      (call $block (call $after (i64.const 1000)))
      (drop (memory.grow (i32.const 1)))
      (br_if $more (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (local.get $n))))
    (call $answer (i32.const 1))";

/// Writes the files of sound components into a folder.
fn write_sound(folder: &Path) {
    for name in ["echo", "count"] {
        std::fs::copy(guest(name), folder.join(format!("{name}.wasm"))).unwrap();
    }
    let text = include_str!("../hostile/guest.wat");
    let allocate = r#"(func (export "allocate") (param i32 i32 i32) (param $size i32) (result i32) (call $take (local.get $size)))"#;
    let text = text
        .replace("{memory}", r#"(memory (export "memory") 1)"#)
        .replace("{allocate}", allocate)
        .replace("{beside}", "")
        .replace("{after}", r#"(func (export "after") (param $result i32))"#)
        .replace(
            "{attack}",
            &format!("(func $attack (param $n i32) (result i32) {BUSY})"),
        );
    component(folder, &text);
}

/// A host with an honest guest, which hostile ones take the place of.
struct Bench {
    rig: Started,
    honest: Arc<Guest>,
    folder: PathBuf,
}

impl Bench {
    fn new(folder: PathBuf) -> Self {
        let rig = Rig::of_file(&folder.join("echo.wasm"), "honest")
            .memory(16)
            .start();
        let honest = rig.host.guest();
        Self {
            rig,
            honest,
            folder,
        }
    }

    /// From bytes to a guest, as a host goes. What was compiled is kept nowhere.
    fn load(&self, bytes: &[u8], time: Duration) -> Result<Guest, Failure> {
        let path = self.folder.join("hostile.wasm");
        std::fs::write(&path, bytes).unwrap();
        let component = Component::read(&path)?;
        let cache = tempfile::tempdir_in(&self.folder).unwrap();
        let artifacts = Artifacts {
            interruption: Interruption::Epoch,
            package: None,
            cache: Some(TrustedFolder::private(cache.path()).unwrap()),
            compiler: Some(Compiler {
                limits: COMPILE,
                ..compiler()
            }),
        };
        let parts = Parts {
            identity: Identity::clone(self.honest.identity()),
            limits: Limits {
                time,
                // The rig keeps all that is logged.
                log: 200,
                ..self.honest.limits()
            },
            config: Config::default(),
            vault: Vault::empty(),
            reach: Reach::default(),
        };
        self.rig.block_on(async {
            let (artifact, _) = artifacts.obtain(&component).await?;
            self.rig.host.load(Arc::new(artifact), parts).await
        })
    }

    /// Loads a guest and lets it have some events.
    fn tried(&self, bytes: &[u8]) {
        match self.load(bytes, HOSTILE_TIME) {
            Ok(guest) => {
                self.rig.host.swap(Arc::new(guest));
                for event in EVENTS {
                    let result = self.rig.handle(event).result;
                    result.map_or_else(|failure| is_its_own_fault(&failure), drop);
                }
            }
            Err(failure) => is_its_own_fault(&failure),
        }
        self.rig.host.swap(Arc::clone(&self.honest));
        assert_eq!(self.rig.handle("[1]").result.unwrap(), "[1]");
    }
}

/// A compiler that gives up is a process of its own; whatever else is the host's must not be had by a guest's bytes.
fn is_its_own_fault(failure: &Failure) {
    let is_guests = failure.code.meaning().blame == Blame::Guest;
    assert!(
        is_guests || failure.code == Code::CompileFailed,
        "{failure}"
    );
}

/// What this process holds: memory in KiB, open files, and mapped pieces of native code.
fn kept() -> [usize; 3] {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let files = std::fs::read_dir("/proc/self/fd").unwrap().count();
    [
        held("VmRSS:"),
        files,
        maps.matches("memfd:artifact").count(),
    ]
}

/// Runs a test of this file alone, which may end in any way.
fn tried_alone(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    write_sound(folder.path());
    if let Err(said) = run_alone(module_path!(), test, folder.path()) {
        let folder = folder.keep();
        panic!("the last component is in {}\n{said}", folder.display());
    }
}

#[test]
fn a_damaged_component_is_refused_or_stopped_and_leaves_nothing_behind() {
    let Some(folder) = alone() else {
        return tried_alone("a_damaged_component_is_refused_or_stopped_and_leaves_nothing_behind");
    };
    let sound = SOUND.map(|name| Sound::read(&folder.join(name)));
    let bench = Bench::new(folder);
    for sound in &sound {
        let time = bench.honest.limits().time;
        let guest = bench.load(&sound.bytes, time).unwrap();
        bench.rig.host.swap(Arc::new(guest));
        bench.rig.handle(EVENTS[1]).result.unwrap();
    }
    let (tried, warm) = (RefCell::new(0), RefCell::new(None));
    holds(CASES, &case(), |case| {
        bench.tried(&case.bytes(&sound));
        let mut tried = tried.borrow_mut();
        *tried += 1;
        if *tried == WARM {
            *warm.borrow_mut() = Some(kept());
        }
    });
    let (before, after) = (warm.take().unwrap(), kept());
    for (kind, most) in [KEPT_KIB, KEPT_FILES, KEPT_FILES].into_iter().enumerate() {
        let more = after[kind].saturating_sub(before[kind]);
        assert!(more < most, "{before:?} before, {after:?} after");
    }
}

/// Limits as a release may ask for them, most of them absurd.
fn wanted() -> impl Strategy<Value = SealedLimits> {
    let edges = vec![0, 1, 100, 65_536, 1 << 20, 1 << 32, u64::MAX >> 1, u64::MAX];
    vec(option::of(select(edges)), 10).prop_map(|all| {
        let count = |at: usize| all[at].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        SealedLimits {
            time_ms: all[0],
            memory_bytes: all[1],
            stack_bytes: all[2],
            table_elements: count(3),
            instances: count(4),
            handles: count(5),
            host_call_bytes: all[6],
            response_bytes: all[7],
            log_bytes: all[8],
            random_bytes: all[9],
        }
    })
}

#[test]
fn whatever_limits_a_release_asks_for_an_event_is_answered_or_fails() {
    holds(LIMITS_CASES, &wanted(), |sealed| {
        let wanted = Wanted::from(&sealed);
        let rig = Rig::of("count").limits(|limits| {
            *limits = limits.with(&wanted, Says::Release, &Wanted::default());
        });
        let rig = rig.start();
        for event in EVENTS {
            if let Err(failure) = rig.handle(event).result {
                assert_ne!(failure.code, Code::HostPanic, "{failure}");
            }
        }
    });
}
