//! What every store must do, whatever is behind it: one suite for all back-ends.

use crate::network::web::Web;
use crate::rig::{ACCESS_KEY, Fault, Finished, Moto, S3, SECRET_KEY, crunchbox, finish, runtime};
use bytes::Bytes;
use crunchbox::store::{
    Ask, Condition, Folder, Found, Location, MemoryStore, S3Store, Store, StoreError, Tag, collect,
    read,
};
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

fn s3_store(url: &str) -> S3Store {
    let Location::S3(location) = url.parse().unwrap() else {
        panic!("{url}")
    };
    S3Store::new(&location).signing_as(ACCESS_KEY, SECRET_KEY)
}

/// Every rule, on every back-end.
macro_rules! rules {
    ($($rule:ident)*) => {
        mod memory { $(#[test] fn $rule() {
            super::runtime().block_on(super::$rule(&super::MemoryStore::new()));
        })* }
        mod folder { $(#[test] fn $rule() {
            let folder = tempfile::tempdir().unwrap();
            super::runtime().block_on(super::$rule(&super::Folder::new(&folder.path().join("new"))));
        })* }
        mod s3 { $(#[test] fn $rule() {
            let s3 = super::S3::start();
            super::runtime().block_on(super::$rule(&super::s3_store(&s3.url("some/prefix"))));
        })* }
        /// One server for all of them, which takes its time to start; each has a prefix of its own.
        #[test]
        fn moto_keeps_every_rule() {
            let moto = super::Moto::start();
            for checksums in ["when-supported", "when-required"] {
                $(
                    let url = moto.url(&format!("{checksums}/{}", stringify!($rule)));
                    let store = super::s3_store(&format!("{url}&checksums={checksums}"));
                    super::runtime().block_on(super::$rule(&store));
                )*
            }
        }
    };
}

mod conformance {
    use super::*;
    rules! {
        an_object_is_read_back_whole_and_from_an_offset
        an_object_that_is_not_there_is_missing
        an_object_that_did_not_change_is_not_sent_again
        an_object_that_is_there_is_not_written_again
        an_object_that_changed_is_not_overwritten
        of_many_who_write_at_once_one_wins
        a_listing_has_all_objects_below_a_prefix_in_order
        a_deleted_object_is_gone_and_deleting_it_again_is_no_error
        an_object_longer_than_its_limit_is_refused
        megabytes_arrive_as_they_were_sent
    }
}

use conformance_rules::*;

mod conformance_rules {
    use super::*;

    fn bytes(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    async fn whole(store: &dyn Store, key: &str) -> String {
        let (bytes, _) = read(store, key, 1 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    pub async fn an_object_is_read_back_whole_and_from_an_offset(store: &dyn Store) {
        store
            .put("f/a.json", bytes("0123456789"), Condition::Absent)
            .await
            .unwrap();
        assert_eq!(whole(store, "f/a.json").await, "0123456789");
        let ask = Ask {
            unless: None,
            from: 7,
        };
        let Found::Object { body, .. } = store.get("f/a.json", ask).await.unwrap() else {
            panic!("unchanged")
        };
        assert_eq!(
            collect(store, "f/a.json", body, 10).await.unwrap(),
            bytes("789")
        );
    }

    pub async fn an_object_that_is_not_there_is_missing(store: &dyn Store) {
        let error = store.get("f/none", Ask::default()).await.unwrap_err();
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
        assert!(error.to_string().contains("f/none"), "{error}");
    }

    pub async fn an_object_that_did_not_change_is_not_sent_again(store: &dyn Store) {
        let put = store
            .put("f/c", bytes("one"), Condition::Absent)
            .await
            .unwrap();
        let (_, tag) = read(store, "f/c", 10).await.unwrap();
        assert_eq!(put, tag);
        let ask = |tag| Ask {
            unless: Some(tag),
            from: 0,
        };
        let found = store.get("f/c", ask(tag.clone())).await.unwrap();
        assert!(matches!(found, Found::Unchanged), "{found:?}");
        store
            .put("f/c", bytes("two"), Condition::Matches(tag.clone()))
            .await
            .unwrap();
        let found = store.get("f/c", ask(tag)).await.unwrap();
        assert!(matches!(found, Found::Object { .. }), "{found:?}");
    }

    pub async fn an_object_that_is_there_is_not_written_again(store: &dyn Store) {
        store
            .put("f/d", bytes("one"), Condition::Absent)
            .await
            .unwrap();
        let error = store
            .put("f/d", bytes("two"), Condition::Absent)
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
        assert_eq!(whole(store, "f/d").await, "one");
    }

    pub async fn an_object_that_changed_is_not_overwritten(store: &dyn Store) {
        let one = store
            .put("f/e", bytes("one"), Condition::Absent)
            .await
            .unwrap();
        let two = Condition::Matches(one.clone());
        store.put("f/e", bytes("two"), two).await.unwrap();
        for (key, tag) in [
            ("f/e", one),
            ("f/e", Tag("\"nonsense\"".into())),
            ("f/none", Tag("\"nonsense\"".into())),
        ] {
            let late = Condition::Matches(tag);
            let error = store.put(key, bytes("three"), late).await.unwrap_err();
            assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
        }
        assert_eq!(whole(store, "f/e").await, "two");
    }

    pub async fn of_many_who_write_at_once_one_wins(store: &dyn Store) {
        let first = store
            .put("f/g", bytes("start"), Condition::Absent)
            .await
            .unwrap();
        let names: Vec<String> = (0..8).map(|number| format!("writer {number}")).collect();
        for (key, condition) in [
            ("f/h", Condition::Absent),
            ("f/g", Condition::Matches(first)),
        ] {
            let writes = names
                .iter()
                .map(|name| store.put(key, bytes(name), condition.clone()));
            let results = futures_util::future::join_all(writes).await;
            let won: Vec<_> = (0..names.len())
                .filter(|&number| results[number].is_ok())
                .collect();
            assert_eq!(won.len(), 1, "{results:?}");
            assert_eq!(whole(store, key).await, names[won[0]]);
            let lost = |error: &StoreError| matches!(error, StoreError::Conflict { .. });
            assert_eq!(
                results.iter().flat_map(Result::as_ref).count(),
                1,
                "{results:?}"
            );
            assert!(
                results
                    .iter()
                    .filter_map(|result| result.as_ref().err())
                    .all(lost)
            );
        }
    }

    pub async fn a_listing_has_all_objects_below_a_prefix_in_order(store: &dyn Store) {
        assert!(store.list("").await.unwrap().is_empty());
        let mut keys: Vec<String> = (0..20).map(|n| format!("f/list/{n:02}")).collect();
        keys.push("f/list/deep/er".into());
        for key in keys.iter().rev().chain([&"g/other".to_owned()]) {
            store
                .put(key, bytes("1234"), Condition::Absent)
                .await
                .unwrap();
        }
        let listed = store.list("f/list/").await.unwrap();
        let names: Vec<&str> = listed.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(names, keys);
        assert!(listed.iter().all(|entry| entry.size == 4));
        let day = Duration::from_secs(24 * 3600);
        let age = |entry: &crunchbox::store::Entry| {
            SystemTime::now()
                .duration_since(entry.modified)
                .unwrap_or_default()
        };
        assert!(listed.iter().all(|entry| age(entry) < day));
        assert_eq!(store.list("f/list/0").await.unwrap().len(), 10);
        assert_eq!(store.list("").await.unwrap().len(), 22);
    }

    pub async fn a_deleted_object_is_gone_and_deleting_it_again_is_no_error(store: &dyn Store) {
        store
            .put("f/i", bytes("x"), Condition::Absent)
            .await
            .unwrap();
        store.delete("f/i").await.unwrap();
        store.delete("f/i").await.unwrap();
        assert!(read(store, "f/i", 1).await.unwrap_err().is_missing());
        store
            .put("f/i", bytes("y"), Condition::Absent)
            .await
            .unwrap();
    }

    pub async fn an_object_longer_than_its_limit_is_refused(store: &dyn Store) {
        store
            .put("f/k", bytes("12345"), Condition::Absent)
            .await
            .unwrap();
        assert!(read(store, "f/k", 5).await.is_ok());
        let error = read(store, "f/k", 4).await.unwrap_err();
        assert!(
            matches!(error, StoreError::TooLong { limit: 4, .. }),
            "{error}"
        );
    }

    pub async fn megabytes_arrive_as_they_were_sent(store: &dyn Store) {
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        store
            .put("f/big", sent.clone().into(), Condition::Absent)
            .await
            .unwrap();
        let (got, _) = read(store, "f/big", 3_000_000).await.unwrap();
        assert!(got == sent);
    }
}

/// What a read of `f/a` comes to while something goes wrong.
fn under(fault: Fault, times: usize) -> Result<String, StoreError> {
    let s3 = S3::start();
    let store = s3_store(&s3.url("p"));
    s3.put("p/f/a", b"0123456789");
    s3.inject(fault, |_| true, times);
    let read = runtime().block_on(read(&store, "f/a", 100));
    read.map(|(bytes, _)| String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn what_goes_wrong_once_is_tried_again() {
    for fault in [Fault::Reset, Fault::Status(503), Fault::Status(500)] {
        assert_eq!(under(fault, 1).unwrap(), "0123456789", "{fault:?}");
    }
}

#[test]
fn what_keeps_going_wrong_is_told_apart_by_what_to_do() {
    for fault in [Fault::Reset, Fault::Status(503), Fault::Truncate] {
        let error = under(fault, usize::MAX).unwrap_err();
        assert!(
            matches!(error, StoreError::Unreachable { .. }),
            "{fault:?}: {error:?}"
        );
    }
    let error = under(Fault::Status(403), usize::MAX).unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains("AccessDenied"), "{error}");
    let error = under(Fault::Status(400), usize::MAX).unwrap_err();
    assert!(matches!(error, StoreError::Unusable { .. }), "{error:?}");
}

#[test]
fn a_missing_object_is_denied_to_those_who_may_not_list_and_counts_as_missing() {
    let s3 = S3::start();
    s3.without_list_permission();
    let store = s3_store(&s3.url("p"));
    let error = runtime().block_on(read(&store, "f/a", 1)).unwrap_err();
    assert!(
        matches!(error, StoreError::Denied { .. }) && error.is_missing(),
        "{error:?}"
    );
}

#[test]
fn a_bucket_that_is_not_there_and_a_server_that_is_not_there_are_told_apart() {
    let s3 = S3::start();
    let store = s3_store(&s3.url("p").replace("functions", "other"));
    let error = runtime().block_on(read(&store, "f/a", 1)).unwrap_err();
    assert!(
        matches!(error, StoreError::Unusable { .. }) && error.to_string().contains("NoSuchBucket"),
        "{error:?}"
    );
    let url = s3.url("p");
    drop(s3);
    let error = runtime()
        .block_on(read(&s3_store(&url), "f/a", 1))
        .unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
}

#[test]
fn a_write_whose_answer_is_lost_is_reported_as_such_or_as_a_conflict_with_itself() {
    let s3 = S3::start();
    let store = s3_store(&s3.url("p"));
    s3.inject(Fault::LoseAnswer, |seen| seen.method == "PUT", 1);
    let put = store.put("f/a", Bytes::from_static(b"mine"), Condition::Absent);
    let error = runtime().block_on(put).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Conflict { .. } | StoreError::Unreachable { .. }
        ),
        "{error:?}"
    );
    assert_eq!(s3.object("p/f/a").unwrap(), b"mine");
}

#[test]
fn what_a_killed_writer_left_in_a_folder_is_no_object() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("f")).unwrap();
    std::fs::write(folder.path().join("f/.tmp-x"), "half").unwrap();
    let store = Folder::new(folder.path());
    assert!(runtime().block_on(store.list("")).unwrap().is_empty());
}

#[test]
fn what_is_no_plain_file_in_a_folder_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("f/directory")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        folder.path().join("f/pipe"),
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
    )
    .unwrap();
    let store = Folder::new(folder.path());
    for key in ["f/directory", "f/pipe", "f/directory/x"] {
        let error = runtime().block_on(read(&store, key, 1)).unwrap_err();
        assert!(
            matches!(error, StoreError::Missing { .. }),
            "{key}: {error:?}"
        );
    }
}

/// What `crunchbox list` comes to with a server's bucket, where only these authorities are trusted.
fn listed(origin: &str, authorities: &Path) -> Finished {
    let store = format!("s3://bucket/p?region=eu-west-1&endpoint={origin}&path-style=true");
    let mut list = crunchbox(&["list", "--store", &store]);
    list.env("SSL_CERT_FILE", authorities)
        .env_remove("SSL_CERT_DIR")
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    finish(&mut list)
}

#[test]
fn a_server_over_tls_is_asked_only_if_its_authority_is_trusted() {
    let (web, certificate) = Web::secure();
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (folder.path().join("ours.pem"), folder.path().join("other"));
    std::fs::write(&ours, certificate).unwrap();
    std::fs::write(&other, Web::secure().1).unwrap();
    let refused = listed(web.origin(), &other);
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
    assert!(web.asked().is_empty());
    // What it answers is no listing, but it was asked.
    listed(web.origin(), &ours);
    assert!(web.asked()[0].target.starts_with("/bucket"));
}

#[test]
fn a_server_without_tls_is_asked_without_reading_whom_this_machine_trusts() {
    let web = Web::start();
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("authorities");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
    // A pipe opens for writing when somebody opens it for reading, who then finds it empty.
    let (path, (read, was_read)) = (pipe.clone(), std::sync::mpsc::channel());
    let writer = std::thread::spawn(move || {
        File::options().write(true).open(path).unwrap();
        read.send(()).unwrap();
    });
    listed(web.origin(), &pipe);
    assert!(web.asked()[0].target.starts_with("/bucket"));
    assert!(was_read.try_recv().is_err());
    File::open(pipe).unwrap();
    writer.join().unwrap();
}
