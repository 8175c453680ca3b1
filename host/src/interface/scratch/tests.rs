//! The interface as a guest calls it.

use super::*;
use bytes::Bytes as Text;
use tempfile::TempDir;
use wasmtime_wasi::p2::StreamError;
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::{FsPerms, ResourceTable, WasiCtx};

const QUOTA: u64 = 64 << 10;
const BLOCK: usize = 4 << 10;

struct Rig {
    scratch: Scratch,
    wasi: WasiCtx,
    table: ResourceTable,
    parent: TempDir,
}

impl Rig {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(parent.path(), Bytes(QUOTA)).unwrap();
        let mut builder = WasiCtx::builder();
        builder
            .preopened_dir(scratch.path(), "/tmp", FsPerms::ReadWrite)
            .unwrap();
        Self {
            scratch,
            wasi: builder.build(),
            table: ResourceTable::new(),
            parent,
        }
    }

    fn files(&mut self) -> Files<'_> {
        Files {
            wasi: WasiFilesystemCtxView {
                ctx: self.wasi.filesystem(),
                table: &mut self.table,
            },
            quota: Some(self.scratch.quota()),
        }
    }

    fn root(&mut self) -> Fd {
        let mut files = self.files();
        let mut roots = preopens::Host::get_directories(&mut files.wasi).unwrap();
        roots.remove(0).0
    }

    async fn create(&mut self, path: &str) -> FsResult<Fd> {
        let root = self.root();
        let flags = types::DescriptorFlags::READ | types::DescriptorFlags::WRITE;
        let (create, path) = (types::OpenFlags::CREATE, path.to_owned());
        self.files()
            .open_at(root, types::PathFlags::empty(), path, create, flags)
            .await
    }

    async fn unlink(&mut self, path: &str) {
        let (root, path) = (self.root(), path.to_owned());
        self.files().unlink_file_at(root, path).await.unwrap();
    }

    fn stream(&mut self, stream: &Resource<DynOutputStream>) -> &mut DynOutputStream {
        self.table.get_mut(stream).unwrap()
    }
}

fn again<T: 'static>(resource: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(resource.rep())
}

fn block() -> Text {
    Text::from_static(&[7; BLOCK])
}

fn code<T: std::fmt::Debug>(result: FsResult<T>) -> ErrorCode {
    result.unwrap_err().downcast().unwrap()
}

#[tokio::test]
async fn what_is_written_beyond_the_quota_is_refused_and_what_is_deleted_comes_free() {
    let mut rig = Rig::new();
    let file = rig.create("a").await.unwrap();
    let most = vec![7; 40 << 10];
    let written = rig.files().write(again(&file), most.clone(), 0).await;
    assert_eq!(written.unwrap(), 40 << 10);
    let other = rig.create("b").await.unwrap();
    let refused = rig.files().write(again(&other), most.clone(), 0).await;
    assert_eq!(code(refused), ErrorCode::Quota);

    rig.unlink("a").await;
    let refused = rig.files().write(again(&other), most.clone(), 0).await;
    assert_eq!(code(refused), ErrorCode::Quota, "it is still open");
    HostDescriptor::drop(&mut rig.files(), file).unwrap();
    rig.files().write(again(&other), most, 0).await.unwrap();
    assert_eq!(rig.scratch.quota().refused(), 2);
    assert!((40 << 10..=QUOTA).contains(&rig.scratch.quota().peak()));
}

#[tokio::test]
async fn no_file_grows_beyond_the_quota_by_its_size_or_by_a_hole() {
    let mut rig = Rig::new();
    let file = rig.create("a").await.unwrap();
    for size in [QUOTA + 1, u64::MAX] {
        let resized = rig.files().set_size(again(&file), size).await;
        assert_eq!(code(resized), ErrorCode::Quota);
        let written = rig.files().write(again(&file), vec![7], size).await;
        assert_eq!(code(written), ErrorCode::Quota);
        let stream = rig.files().write_via_stream(again(&file), size).unwrap();
        let written = rig.stream(&stream).blocking_write_and_flush(block());
        assert!(matches!(
            written.await,
            Err(StreamError::LastOperationFailed(_))
        ));
    }
    rig.files().set_size(again(&file), 10).await.unwrap();
    rig.files().set_size(again(&file), 0).await.unwrap();
}

#[tokio::test]
async fn links_are_refused() {
    let mut rig = Rig::new();
    rig.create("a").await.unwrap();
    let (root, other) = (rig.root(), rig.root());
    let link = rig
        .files()
        .symlink_at(again(&root), "/etc".into(), "b".into())
        .await;
    assert_eq!(code(link), ErrorCode::NotPermitted);
    let flags = types::PathFlags::empty();
    let link = rig
        .files()
        .link_at(root, flags, "a".into(), other, "b".into())
        .await;
    assert_eq!(code(link), ErrorCode::NotPermitted);
}

#[tokio::test]
async fn directories_count_as_well() {
    let mut rig = Rig::new();
    let mut made = 0;
    let refused = loop {
        let root = rig.root();
        let path = format!("d{made}");
        match rig.files().create_directory_at(root, path).await {
            Ok(()) => made += 1,
            refused => break refused,
        }
    };
    assert_eq!(code(refused), ErrorCode::Quota);
    assert_eq!(made, 16);
}

#[tokio::test]
async fn a_stream_ends_at_the_quota_with_an_error_that_has_its_code() {
    let mut rig = Rig::new();
    let file = rig.create("a").await.unwrap();
    let stream = rig.files().write_via_stream(file, 0).unwrap();
    let writer = rig.stream(&stream);
    let mut written = 0;
    let failure = loop {
        match writer.blocking_write_and_flush(block()).await {
            Ok(()) => written += 1,
            Err(StreamError::LastOperationFailed(failure)) => break failure,
            Err(other) => panic!("{other}"),
        }
    };
    // One block is the entry's.
    assert_eq!(written, 15);
    let failure = rig.table.push(failure).unwrap();
    let code = rig.files().filesystem_error_code(failure).unwrap();
    assert_eq!(code, Some(ErrorCode::Quota));
}

/// What a guest may write, after waiting for it.
async fn permit(writer: &mut DynOutputStream) -> usize {
    loop {
        writer.ready().await;
        match writer.check_write().unwrap() {
            0 => {}
            permit => return permit,
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_asked_first_gets_on_when_there_is_room_again() {
    let mut rig = Rig::new();
    let other = rig.create("b").await.unwrap();
    let much = vec![7; 32 << 10];
    rig.files().write(again(&other), much, 0).await.unwrap();
    HostDescriptor::drop(&mut rig.files(), other).unwrap();
    let file = rig.create("a").await.unwrap();
    let stream = rig.files().append_via_stream(file).unwrap();

    let writer = rig.stream(&stream);
    loop {
        match permit(writer).await {
            1 => break,
            permit => writer.write(vec![7_u8; permit].into()).unwrap(),
        }
    }
    assert!(writer.flush().is_ok(), "nothing went wrong so far");
    let refused = writer.write(Text::from_static(b"x"));
    assert!(matches!(refused, Err(StreamError::LastOperationFailed(_))));

    rig.unlink("b").await;
    let writer = rig.stream(&stream);
    assert!(permit(writer).await >= BLOCK);
    writer.write(block()).unwrap();
    let unasked = writer.write(block());
    assert!(matches!(unasked, Err(StreamError::Trap(_))));
}

#[tokio::test]
async fn what_is_read_comes_through() {
    let mut rig = Rig::new();
    let file = rig.create("a").await.unwrap();
    let text = b"text".to_vec();
    rig.files().write(again(&file), text, 0).await.unwrap();
    let stream = rig.files().read_via_stream(file, 1).unwrap();
    let reader = rig.table.get_mut(&stream).unwrap();
    assert_eq!(&reader.blocking_read(9).await.unwrap()[..], b"ext");

    let root = rig.root();
    let list = rig.files().read_directory(root).await.unwrap();
    let entry = rig.files().read_directory_entry(again(&list)).await;
    assert_eq!(entry.unwrap().unwrap().name, "a");
    HostDirectoryEntryStream::drop(&mut rig.files(), list).unwrap();
}

#[tokio::test]
async fn a_scratch_folder_is_gone_when_its_event_is() {
    let rig = Rig::new();
    std::fs::create_dir_all(rig.scratch.path().join("a/b/c")).unwrap();
    std::fs::write(rig.scratch.path().join("a/b/c/d"), "text").unwrap();
    rig.scratch.remove().await;
    assert!(
        std::fs::read_dir(rig.parent.path())
            .unwrap()
            .next()
            .is_none()
    );
}
