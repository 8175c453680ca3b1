//! Waits for the files of a project to change. What is ignored by git is, but for what is named; a look at times and
//! sizes decides, and the system's notices only say when to look, so that one that is lost costs a second and no more.

use ignore::WalkBuilder;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// Editors write a file in several steps: a change is looked at when nothing more has come for this long.
const QUIET: Duration = Duration::from_millis(60);

/// But not later than this after the first notice.
const QUIET_MAX: Duration = Duration::from_secs(1);

/// How often to look where the system gives no notices, or loses them.
const LOOK: Duration = Duration::from_secs(2);

/// Folders that tools fill, whether git ignores them or not.
const OUTPUTS: [&str; 5] = [
    "target",
    "node_modules",
    ".venv",
    ".crunchbox",
    "__pycache__",
];

/// A file that changes during so many builds in a row is written by them, not by a person who saves often.
const WRITTEN_BY_BUILDS: u32 = 3;

/// The most files of a project that are watched; one with more has taken in what is not its own.
const FILES_MAX: usize = 20_000;

/// What was seen of a file.
type Stamp = (SystemTime, u64);

/// Watches a folder, and files elsewhere.
#[derive(Debug)]
pub(super) struct Watch {
    folder: Option<PathBuf>,
    /// Files that count wherever they are, and whether they are there or not.
    named: BTreeSet<PathBuf>,
    seen: BTreeMap<PathBuf, Stamp>,
    /// The components that builds make.
    outputs: HashSet<PathBuf>,
    /// What changed during each of the last builds, and of how many in a row.
    during_build: HashMap<PathBuf, u32>,
    watcher: Option<RecommendedWatcher>,
    watched: HashSet<PathBuf>,
    notices: mpsc::Receiver<()>,
}

impl Watch {
    /// Watches the files of `folder`, if there is one, and `named` files, and takes what they are now for known.
    pub(super) fn new(folder: Option<&Path>, named: impl IntoIterator<Item = PathBuf>) -> Self {
        // One notice that waits is as good as many.
        let (sender, notices) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |_: notify::Result<notify::Event>| {
            let _waiting_already = sender.try_send(());
        });
        let mut watch = Self {
            folder: folder.map(Path::to_owned),
            named: named.into_iter().collect(),
            seen: BTreeMap::new(),
            outputs: HashSet::new(),
            during_build: HashMap::new(),
            watcher: watcher.ok(),
            watched: HashSet::new(),
            notices,
        };
        watch.seen = watch.look();
        watch
    }

    /// Names files beside those that were named before.
    pub(super) fn name(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        for file in files {
            if self.named.insert(file.clone()) {
                self.seen.extend(stamp(&file).map(|stamp| (file, stamp)));
            }
        }
    }

    /// Names a file that a build makes.
    pub(super) fn made(&mut self, file: &Path) {
        self.outputs.insert(file.to_owned());
        self.seen.remove(file);
    }

    /// Waits until files have changed, and says which.
    pub(super) async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            let changed = self.compare();
            if !changed.is_empty() {
                return changed;
            }
            let noticed = tokio::time::timeout(LOOK, self.notices.recv()).await;
            if noticed.is_ok_and(|noticed| noticed.is_some()) {
                self.settle().await;
            }
        }
    }

    /// To be called after a build: what changed meanwhile is a reason for another one. But what changes during each of several
    /// builds in a row is most likely what builds write: it is taken as it is, until it changes without one.
    pub(super) fn built(&mut self) {
        let now = self.look();
        let mut during = HashMap::new();
        for path in differences(&self.seen, &now) {
            let row = self.during_build.get(&path).map_or(1, |row| row + 1);
            if row >= WRITTEN_BY_BUILDS {
                match now.get(&path) {
                    Some(stamp) => self.seen.insert(path.clone(), *stamp),
                    None => self.seen.remove(&path),
                };
            }
            during.insert(path, row);
        }
        self.during_build = during;
    }

    async fn settle(&mut self) {
        let settling = async {
            while let Ok(Some(())) = tokio::time::timeout(QUIET, self.notices.recv()).await {}
        };
        let _long_enough = tokio::time::timeout(QUIET_MAX, settling).await;
    }

    fn compare(&mut self) -> Vec<PathBuf> {
        let now = self.look();
        let changed = differences(&self.seen, &now);
        self.seen = now;
        changed
    }

    /// Times and sizes of all files that count; asks for notices of folders that are new.
    fn look(&mut self) -> BTreeMap<PathBuf, Stamp> {
        let mut found = BTreeMap::new();
        let mut folders = BTreeSet::new();
        if let Some(folder) = &self.folder {
            for entry in walk(folder).flatten().take(FILES_MAX) {
                let path = entry.path();
                match entry.file_type() {
                    Some(kind) if kind.is_dir() => {
                        folders.insert(path.to_owned());
                    }
                    Some(_) if !self.outputs.contains(path) => {
                        found.extend(stamp(path).map(|stamp| (path.to_owned(), stamp)));
                    }
                    Some(_) | None => {}
                }
            }
        }
        for path in &self.named {
            folders.extend(
                path.parent()
                    .filter(|parent| parent.is_dir())
                    .map(Path::to_owned),
            );
            if !self.outputs.contains(path) {
                found.extend(stamp(path).map(|stamp| (path.clone(), stamp)));
            }
        }
        for folder in folders {
            if let Some(watcher) = &mut self.watcher
                && !self.watched.contains(&folder)
                && watcher.watch(&folder, RecursiveMode::NonRecursive).is_ok()
            {
                self.watched.insert(folder);
            }
        }
        found
    }
}

fn walk(folder: &Path) -> ignore::Walk {
    WalkBuilder::new(folder)
        .follow_links(false)
        .require_git(false)
        .filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            !(is_folder && OUTPUTS.contains(&&*name))
        })
        .build()
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Files that are there in one and not in the other, or not the same.
fn differences(before: &BTreeMap<PathBuf, Stamp>, now: &BTreeMap<PathBuf, Stamp>) -> Vec<PathBuf> {
    let gone = before.keys().filter(|path| !now.contains_key(*path));
    let other = now
        .iter()
        .filter(|(path, stamp)| before.get(*path) != Some(stamp));
    gone.chain(other.map(|(path, _)| path)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn names(folder: &Path, changed: &[PathBuf]) -> Vec<String> {
        let relative = |path: &PathBuf| path.strip_prefix(folder).unwrap().display().to_string();
        changed.iter().map(relative).collect()
    }

    #[tokio::test]
    async fn a_file_that_is_new_changed_or_gone_is_told_and_what_is_ignored_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, ".gitignore", "*.log\nlocal.toml\n");
        write(folder, "src/a.rs", "1");
        let mut watch = Watch::new(Some(folder), [folder.join("local.toml")]);
        assert!(watch.compare().is_empty());
        write(folder, "target/x", "1");
        write(folder, "a.log", "1");
        write(folder, ".git/index", "1");
        assert!(watch.compare().is_empty());
        write(folder, "src/deep/b.rs", "1");
        assert_eq!(names(folder, &watch.changed().await), ["src/deep/b.rs"]);
        write(folder, "src/a.rs", "22");
        write(folder, "local.toml", "x = 1");
        assert_eq!(names(folder, &watch.compare()), ["local.toml", "src/a.rs"]);
        std::fs::remove_file(folder.join("src/a.rs")).unwrap();
        assert_eq!(names(folder, &watch.changed().await), ["src/a.rs"]);
    }

    #[test]
    fn what_changes_with_every_build_starts_no_other_and_counts_again_later() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut watch = Watch::new(Some(folder), []);
        for text in ["1", "22"] {
            write(folder, "out.txt", text);
            watch.built();
            // It may be a source that somebody saves often.
            assert_eq!(names(folder, &watch.compare()), ["out.txt"]);
        }
        write(folder, "out.txt", "333");
        watch.built();
        assert!(watch.compare().is_empty(), "builds follow each other");
        write(folder, "out.txt", "4444");
        assert_eq!(names(folder, &watch.compare()), ["out.txt"]);
    }

    #[test]
    fn a_source_that_is_edited_during_a_build_is_looked_at_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "a.rs", "1");
        let mut watch = Watch::new(Some(folder), []);
        write(folder, "a.rs", "22");
        watch.built();
        assert_eq!(names(folder, &watch.compare()), ["a.rs"]);
    }

    #[test]
    fn the_component_that_a_build_makes_is_no_source_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut watch = Watch::new(Some(folder), []);
        watch.made(&folder.join("made.wasm"));
        write(folder, "made.wasm", "1");
        assert!(watch.compare().is_empty());
    }
}
