use crate::object::{Access, Entry, Name, ObjectError, Objects, Place, Rule};
use bytes::Bytes;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A granted folder, and one beside it that is not.
struct Rig {
    folder: TempDir,
    objects: Objects,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(folder.path().join("outside/secret"), "secret").unwrap();
        Self {
            folder,
            objects: Objects::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn place(&self, name: &str, access: Access) -> Place {
        let grant = format!("{}/", self.path("in").display());
        let rule = Rule::new(&grant, &[access]).unwrap();
        let name = Name::prefix(&format!("{grant}{name}")).unwrap();
        rule.place(&name, access).unwrap()
    }

    /// Reads an object, a few bytes at a time.
    async fn read(&self, name: &str) -> Result<Option<String>, ObjectError> {
        let place = self.place(name, Access::Read);
        let Some(mut source) = self.objects.open(&place).await? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        loop {
            let piece = source.read(4).await?;
            assert!(piece.len() <= 4);
            if piece.is_empty() {
                assert_eq!(u64::try_from(bytes.len()).unwrap(), source.size());
                return Ok(Some(String::from_utf8(bytes).unwrap()));
            }
            bytes.extend_from_slice(&piece);
        }
    }

    async fn write(&self, name: &str, texts: &[&'static str]) -> Result<(), ObjectError> {
        let place = self.place(name, Access::Write);
        let mut sink = self.objects.create(&place).await?;
        for text in texts {
            sink.write(Bytes::from_static(text.as_bytes())).await?;
        }
        sink.finish().await
    }

    async fn list(&self, prefix: &str) -> Vec<Entry> {
        let place = self.place(prefix, Access::List);
        let mut pages = self.objects.list(&place).await.unwrap();
        let mut entries = Vec::new();
        loop {
            let page = pages.next().await.unwrap();
            if page.is_empty() {
                return entries;
            }
            entries.extend(page);
        }
    }

    async fn names(&self, prefix: &str) -> Vec<String> {
        let own = format!("{}/", self.path("in").display());
        let entries = self.list(prefix).await.into_iter();
        let names = entries.map(|entry| entry.at.strip_prefix(&own).unwrap().to_owned());
        names.collect()
    }
}

/// The names of all that is in a folder, hidden files among them.
fn all(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[tokio::test]
async fn a_file_is_read_in_pieces_and_what_is_no_file_is_not_there() {
    let rig = Rig::new();
    fs::create_dir(rig.path("in/folder")).unwrap();
    fs::write(rig.path("in/folder/a"), "ten bytes!").unwrap();
    let text = rig.read("folder/a").await;
    assert_eq!(text, Ok(Some("ten bytes!".to_owned())));
    for missing in ["b", "folder", "folder/a/b", "no/such/folder"] {
        assert_eq!(rig.read(missing).await, Ok(None), "{missing}");
    }
}

#[tokio::test]
async fn nothing_is_read_or_listed_through_a_link() {
    let rig = Rig::new();
    fs::write(rig.path("in/a"), "a").unwrap();
    symlink(rig.path("outside/secret"), rig.path("in/absolute")).unwrap();
    symlink("../outside/secret", rig.path("in/relative")).unwrap();
    symlink(rig.path("outside"), rig.path("in/folder")).unwrap();
    symlink("a", rig.path("in/harmless")).unwrap();
    symlink(".", rig.path("in/circle")).unwrap();
    for name in [
        "absolute",
        "relative",
        "folder/secret",
        "harmless",
        "circle/a",
    ] {
        let error = rig.read(name).await.unwrap_err();
        assert!(error.to_string().contains("a link"), "{name}: {error}");
        assert!(!error.is_retryable());
    }
    assert_eq!(rig.names("").await, ["a"]);
}

#[tokio::test]
async fn nothing_is_written_through_a_link() {
    let rig = Rig::new();
    symlink(rig.path("outside"), rig.path("in/folder")).unwrap();
    symlink(rig.path("outside/secret"), rig.path("in/link")).unwrap();
    for name in ["folder/secret", "folder/new/a"] {
        assert!(rig.write(name, &["x"]).await.is_err(), "{name}");
    }
    // The link itself is what is there, and so what is replaced.
    rig.write("link", &["x"]).await.unwrap();
    assert_eq!(rig.read("link").await, Ok(Some("x".to_owned())));
    assert_eq!(fs::read(rig.path("outside/secret")).unwrap(), b"secret");
    assert_eq!(all(&rig.path("outside")), ["secret"]);
}

#[tokio::test]
async fn pipes_and_files_of_the_system_are_refused_at_once() {
    let rig = Rig::new();
    let mode = Mode::from_raw_mode(0o644);
    mknodat(CWD, rig.path("in/pipe"), FileType::Fifo, mode, 0).unwrap();
    assert!(rig.read("pipe").await.is_err());
    assert!(rig.names("").await.is_empty());
    let place = Place::Folder {
        root: "/proc/self".to_owned(),
        rest: "environ".to_owned(),
    };
    let error = rig.objects.open(&place).await.err().unwrap();
    assert!(error.to_string().contains("the system's own"), "{error}");
}

#[tokio::test]
async fn an_object_is_seen_when_it_is_finished_and_whole() {
    let rig = Rig::new();
    fs::write(rig.path("in/a"), "old").unwrap();
    let place = rig.place("a", Access::Write);
    let mut sink = rig.objects.create(&place).await.unwrap();
    sink.write(Bytes::from_static(b"new")).await.unwrap();
    assert_eq!(rig.read("a").await, Ok(Some("old".to_owned())));
    assert_eq!(rig.names("").await, ["a"]);
    sink.finish().await.unwrap();
    assert_eq!(rig.read("a").await, Ok(Some("new".to_owned())));
    assert!(sink.write(Bytes::from_static(b"more")).await.is_err());
    assert!(sink.finish().await.is_err());
    drop(sink);
    assert_eq!(all(&rig.path("in")), ["a"]);
}

#[test]
fn an_object_that_is_not_finished_leaves_nothing_behind() {
    let rig = Rig::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let sink = runtime.block_on(async {
        let place = rig.place("a", Access::Write);
        let mut sink = rig.objects.create(&place).await.unwrap();
        sink.write(Bytes::from_static(b"half")).await.unwrap();
        sink
    });
    drop(runtime);
    assert_eq!(all(&rig.path("in")).len(), 1);
    drop(sink);
    assert!(all(&rig.path("in")).is_empty());
}

#[tokio::test]
async fn folders_are_made_on_the_way_but_not_the_granted_one() {
    let rig = Rig::new();
    rig.write("x/y/z", &["a", "b"]).await.unwrap();
    rig.write("x/y/empty", &[]).await.unwrap();
    assert_eq!(fs::read(rig.path("in/x/y/z")).unwrap(), b"ab");
    assert_eq!(rig.read("x/y/empty").await, Ok(Some(String::new())));
    for taken in ["x", "x/y/z/a"] {
        assert!(rig.write(taken, &["a"]).await.is_err(), "{taken}");
    }
    fs::remove_dir_all(rig.path("in")).unwrap();
    for error in [
        rig.write("a", &["a"]).await.unwrap_err(),
        rig.read("a").await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("there is no folder"), "{error}");
    }
}

#[tokio::test]
async fn a_listing_is_in_the_order_of_whole_names_and_within_its_prefix() {
    let rig = Rig::new();
    for name in [
        "a.txt",
        "a/b",
        "a/b.d/c",
        "a0",
        "b/2024-01",
        "b/2024/x",
        "b/2025",
    ] {
        rig.write(name, &["1234"]).await.unwrap();
    }
    fs::write(rig.path("in/back\\slash"), "").unwrap();
    let everything = [
        "a.txt",
        "a/b",
        "a/b.d/c",
        "a0",
        "b/2024-01",
        "b/2024/x",
        "b/2025",
    ];
    assert_eq!(rig.names("").await, everything);
    for (prefix, names) in [
        ("a", &everything[..4]),
        ("a/", &everything[1..3]),
        ("b/2024", &everything[4..6]),
        ("b/2024-", &everything[4..5]),
        ("b/2025", &everything[6..]),
        ("c/", &everything[..0]),
        ("a0/", &everything[..0]),
        ("no/such/folder/", &everything[..0]),
    ] {
        assert_eq!(rig.names(prefix).await, names, "{prefix}");
    }
    let entries = rig.list("a0").await;
    assert_eq!(entries[0].size, 4);
    assert!(entries[0].modified_ms > 1_700_000_000_000);
}

#[tokio::test]
async fn a_long_listing_comes_in_pages_and_an_empty_folder_is_no_end() {
    let rig = Rig::new();
    for number in 0..1_500 {
        fs::create_dir(rig.path(&format!("in/{number:04}"))).unwrap();
    }
    fs::write(rig.path("in/0000/first"), "").unwrap();
    for number in 0..1_200 {
        fs::write(rig.path(&format!("in/1499/{number:04}")), "").unwrap();
    }
    let names = rig.names("").await;
    assert_eq!((names.len(), names[0].as_str()), (1_201, "0000/first"));
    assert!(names.is_sorted());
}
