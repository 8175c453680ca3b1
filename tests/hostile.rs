//! Guests that mean harm, through `Host::handle`: whatever one tries is refused or stopped under a stable code, and the same
//! host serves the next event.

mod calls;
mod memory;
mod output;
mod time;
mod together;

use crate::rig::{Rig, Started, artifacts, component, failure, read};
use crunchbox::config::Config;
use crunchbox::error::{Code, Failure};
use crunchbox::event::Identity;
use crunchbox::guest::{Guest, Parts, SMOKE_TIME};
use crunchbox::limit::Limits;
use crunchbox::reach::Reach;
use crunchbox::secret::Vault;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Makes `guest.wat` attack; an event that is a number is what its attack gets.
const ATTACK: &str = "1";

/// A guest written as text: what stands in the open places of `guest.wat`. Honest unless told otherwise.
struct Text {
    memory: String,
    allocate: String,
    beside: String,
    after: String,
    attack: String,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            memory: r#"(memory (export "memory") 1)"#.into(),
            allocate: allocation("nop"),
            beside: String::new(),
            after: r#"(func (export "after") (param $result i32))"#.into(),
            attack: attack("(call $answer (i32.const 1))"),
        }
    }
}

impl Text {
    /// Attacks when its handler is called with a number, which is `$n`.
    fn attacking(body: &str) -> Self {
        Self {
            attack: attack(body),
            ..Self::default()
        }
    }

    /// Attacks as soon as it is made.
    fn starting(body: &str) -> Self {
        let honest = attack("(call $answer (i32.const 1))");
        Self {
            attack: format!("{honest} (func $start {body}) (start $start)"),
            ..Self::default()
        }
    }

    /// The component, in a folder.
    fn write(&self, folder: &Path) -> PathBuf {
        let text = include_str!("hostile/guest.wat")
            .replace("{memory}", &self.memory)
            .replace("{allocate}", &self.allocate)
            .replace("{beside}", &self.beside)
            .replace("{after}", &self.after)
            .replace("{attack}", &self.attack);
        component(folder, &text)
    }

    fn start(&self, limits: impl FnOnce(&mut Limits)) -> Started {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::of_file(&self.write(folder.path()), "hostile");
        rig.limits(limits).start()
    }

    /// The failure of an event with this guest.
    fn failure(&self, limits: impl FnOnce(&mut Limits)) -> Failure {
        failed(&self.start(limits), ATTACK)
    }
}

/// A component whose instances never come to be, in a folder.
pub fn starting_forever(folder: &Path) -> PathBuf {
    Text::starting("(loop $on (br $on))").write(folder)
}

/// The function that a number calls.
fn attack(body: &str) -> String {
    format!("(func $attack (param $n i32) (result i32) {body})")
}

/// How memory is given out for what the host hands over, after something else is done; `$size` is how much it wants.
fn allocation(before: &str) -> String {
    format!(
        r#"(func (export "allocate") (param i32 i32 i32) (param $size i32) (result i32) {before} (call $take (local.get $size)))"#
    )
}

/// The guest of `tests/guests` that does what an event names.
fn hostile(limits: impl FnOnce(&mut Limits)) -> Started {
    Rig::of("hostile").limits(limits).start()
}

/// The failure of an event, in a host that serves the next.
fn failed(rig: &Started, event: &str) -> Failure {
    let failure = failure(rig.handle(event));
    served_after(rig);
    failure
}

/// The response to an event, in a host that serves the next.
fn answered(rig: &Started, event: &str) -> String {
    let response = rig.handle(event).result.unwrap();
    served_after(rig);
    response
}

fn served_after(rig: &Started) {
    assert_eq!(rig.handle(r#""ok""#).result.unwrap(), r#""ok""#);
}

fn load(rig: &Started, text: &Text) -> Arc<Guest> {
    let folder = tempfile::tempdir().unwrap();
    load_file(rig, &text.write(folder.path())).unwrap()
}

/// Loads another component beside the one that serves, under the same limits.
fn load_file(rig: &Started, path: &Path) -> Result<Arc<Guest>, Failure> {
    let serving = rig.host.guest();
    let parts = Parts {
        identity: Identity::clone(serving.identity()),
        limits: serving.limits(),
        config: Config::default(),
        vault: Vault::empty(),
        reach: Reach::default(),
    };
    rig.block_on(async {
        let (artifact, _) = artifacts().obtain(&read(path)).await?;
        let guest = rig.host.load(Arc::new(artifact), parts).await?;
        Ok(Arc::new(guest))
    })
}

/// Why there is no instance of a guest. It is refused before it takes an honest one's place; and where it has taken it, the
/// honest one takes it back.
fn no_instance(text: &Text, limits: impl FnOnce(&mut Limits)) -> Failure {
    let rig = Text::default().start(limits);
    let (honest, hostile) = (rig.host.guest(), load(&rig, text));
    let smoke = rig.host.smoke(Arc::clone(&hostile), SMOKE_TIME);
    let refusal = rig.block_on(smoke).unwrap_err();
    served_after(&rig);
    rig.host.swap(hostile);
    let failure = failure(rig.handle(r#""ok""#));
    assert_eq!(failure.code, refusal.code, "{failure}");
    rig.host.swap(honest);
    served_after(&rig);
    failure
}

/// Asserts the code of a failure, and shows the failure where it is another.
fn assert_code(failure: &Failure, code: Code, what: &str) {
    assert_eq!(failure.code, code, "{what}: {failure}");
}
