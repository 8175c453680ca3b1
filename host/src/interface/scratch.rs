//! `wasi:filesystem/types` over a folder that one event has to itself, and that holds no more than its quota. Checks
//! what can make it grow, and leaves the rest, the sandbox included, to wasmtime; refuses links, which are of no
//! use in a folder of one's own and were the way out of many a sandbox. A guest without a folder has nothing to open.

mod folder;
mod measure;
mod quota;
mod stream;

use crate::quantity::Bytes;
use folder::Folder;
use measure::{Held, blocks};
use quota::{Exceeded, Slot};
use std::path::Path;
use std::sync::Arc;
use stream::{Input, Output, Start};
use tokio::runtime::Handle;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, ErrorCode, Host, HostDescriptor, HostDirectoryEntryStream,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

pub(crate) use quota::Quota;

/// A folder for one event, and what it may hold. Removed when it is dropped, beside the runtime if there is one.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: Option<Folder>,
    quota: Arc<Quota>,
}

impl Scratch {
    /// Makes an empty folder in `parent`; two short calls that block, once per event.
    ///
    /// # Errors
    /// What the file system says: no such parent, no room, not writable.
    pub(crate) fn create(parent: &Path, quota: Bytes) -> std::io::Result<Self> {
        let folder = Folder::create(parent)?;
        let quota = Quota::new(folder.content(), quota.0);
        Ok(Self {
            folder: Some(folder),
            quota: Arc::new(quota),
        })
    }

    /// The folder that the guest sees.
    pub(crate) fn path(&self) -> &Path {
        self.quota.folder()
    }

    /// What the guest may still take of it.
    pub(crate) fn quota(&self) -> &Arc<Quota> {
        &self.quota
    }

    /// Removes the folder and waits until it is gone: what is only dropped may outlive a process that ends at once.
    pub(crate) async fn remove(mut self) {
        if let Some(folder) = self.folder.take() {
            // What is lost with a runtime that shuts down is removed as it is dropped.
            let _ = tokio::task::spawn_blocking(move || drop(folder)).await;
        }
    }
}

/// Removes the folder of a guest that was given up, and waits until it is gone.
pub(crate) async fn remove_of(quota: Arc<Quota>) {
    let _ = tokio::task::spawn_blocking(move || folder::remove_around(quota.folder())).await;
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(folder) = self.folder.take() else {
            return;
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(folder))),
            Err(_) => drop(folder),
        }
    }
}

/// The files of one event: as wasmtime offers them, up to a quota. Without a quota there are none to be had.
pub(crate) struct Files<'a> {
    pub(crate) wasi: WasiFilesystemCtxView<'a>,
    pub(crate) quota: Option<&'a Arc<Quota>>,
}

struct Has;

impl HasData for Has {
    type Data<'a> = Files<'a>;
}

pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    files: fn(&mut T) -> Files<'_>,
) -> wasmtime::Result<()> {
    types::add_to_linker::<T, Has>(linker, files)
}

impl From<Exceeded> for FsError {
    fn from(_: Exceeded) -> Self {
        ErrorCode::Quota.into()
    }
}

impl Files<'_> {
    /// Where a file ends; zero for a directory, which wasmtime refuses by itself.
    fn size(&self, fd: &Resource<Descriptor>) -> FsResult<u64> {
        Ok(match self.wasi.table.get(fd)? {
            Descriptor::File(file) => file.file.metadata()?.len(),
            Descriptor::Dir(_) => 0,
        })
    }

    /// Puts a counted stream in a stream's place. It is new, so nothing was made of it that would have to follow.
    fn counted(
        &mut self,
        stream: Resource<DynOutputStream>,
        slot: Slot,
        start: Start,
    ) -> FsResult<Resource<DynOutputStream>> {
        let inner = self.wasi.table.delete(stream)?;
        let counted: DynOutputStream = Box::new(Output::new(inner, slot, start));
        Ok(self.wasi.table.push(counted)?)
    }
}

impl Host for Files<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        self.wasi.convert_error_code(error)
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let failure = self.wasi.table.get(&error)?;
        if failure.downcast_ref::<Exceeded>().is_some() {
            return Ok(Some(ErrorCode::Quota));
        }
        self.wasi.filesystem_error_code(error)
    }
}

/// What passes as it is: it reads, or makes nothing larger.
macro_rules! pass {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(async fn $name(&mut self, $($argument: $type),*) -> $result {
            self.wasi.$name($($argument),*).await
        })*
    };
}

type Fd = Resource<Descriptor>;

impl HostDescriptor for Files<'_> {
    pass! {
        advise(fd: Fd, offset: u64, length: u64, advice: types::Advice) -> FsResult<()>;
        sync_data(fd: Fd) -> FsResult<()>;
        get_flags(fd: Fd) -> FsResult<types::DescriptorFlags>;
        get_type(fd: Fd) -> FsResult<types::DescriptorType>;
        set_times(fd: Fd, access: types::NewTimestamp, change: types::NewTimestamp) -> FsResult<()>;
        read(fd: Fd, length: u64, offset: u64) -> FsResult<(Vec<u8>, bool)>;
        sync(fd: Fd) -> FsResult<()>;
        stat(fd: Fd) -> FsResult<types::DescriptorStat>;
        stat_at(fd: Fd, flags: types::PathFlags, path: String) -> FsResult<types::DescriptorStat>;
        set_times_at(
            fd: Fd,
            flags: types::PathFlags,
            path: String,
            access: types::NewTimestamp,
            change: types::NewTimestamp
        ) -> FsResult<()>;
        readlink_at(fd: Fd, path: String) -> FsResult<String>;
        remove_directory_at(fd: Fd, path: String) -> FsResult<()>;
        rename_at(fd: Fd, path: String, new_fd: Fd, new_path: String) -> FsResult<()>;
        unlink_file_at(fd: Fd, path: String) -> FsResult<()>;
        is_same_object(one: Fd, other: Fd) -> wasmtime::Result<bool>;
        metadata_hash(fd: Fd) -> FsResult<types::MetadataHashValue>;
        metadata_hash_at(
            fd: Fd,
            flags: types::PathFlags,
            path: String
        ) -> FsResult<types::MetadataHashValue>;
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        HostDescriptor::drop(&mut self.wasi, fd)
    }

    async fn link_at(
        &mut self,
        _: Fd,
        _: types::PathFlags,
        _: String,
        _: Fd,
        _: String,
    ) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
    }

    async fn symlink_at(&mut self, _: Fd, _: String, _: String) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
    }

    async fn open_at(
        &mut self,
        fd: Fd,
        path_flags: types::PathFlags,
        path: String,
        open_flags: types::OpenFlags,
        flags: types::DescriptorFlags,
    ) -> FsResult<Fd> {
        if let Some(quota) = self.quota {
            quota.may_open()?;
            if open_flags.contains(types::OpenFlags::CREATE) {
                // Counted though the file may be there already: which it was, only the call itself finds out.
                quota.take(Held::ENTRY).await?;
            }
        }
        let opened = self.wasi.open_at(fd, path_flags, path, open_flags, flags);
        let opened = opened.await?;
        if let Some(quota) = self.quota {
            quota.opened(match self.wasi.table.get(&opened)? {
                Descriptor::File(file) => &file.file,
                Descriptor::Dir(dir) => &dir.dir,
            });
        }
        Ok(opened)
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        if let Some(quota) = self.quota {
            quota.take(Held::ENTRY).await?;
        }
        self.wasi.create_directory_at(fd, path).await
    }

    async fn set_size(&mut self, fd: Fd, size: u64) -> FsResult<()> {
        if let Some(quota) = self.quota {
            // A hole takes no room, but what fills it later does.
            let growth = size.saturating_sub(self.size(&fd)?);
            quota.take(Held::bytes(growth)).await?;
        }
        self.wasi.set_size(fd, size).await
    }

    async fn write(&mut self, fd: Fd, bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        if let Some(quota) = self.quota {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let start = offset.min(self.size(&fd)?);
            let taken = blocks(start, offset.saturating_add(length));
            quota.take(Held::bytes(taken)).await?;
        }
        self.wasi.write(fd, bytes, offset).await
    }

    fn write_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<DynOutputStream>> {
        let Some(quota) = self.quota else {
            return self.wasi.write_via_stream(fd, offset);
        };
        let slot = Slot::take(quota)?;
        let size = self.size(&fd)?;
        let stream = self.wasi.write_via_stream(fd, offset)?;
        self.counted(stream, slot, Start::At { offset, size })
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        let Some(quota) = self.quota else {
            return self.wasi.append_via_stream(fd);
        };
        let slot = Slot::take(quota)?;
        let stream = self.wasi.append_via_stream(fd)?;
        self.counted(stream, slot, Start::End)
    }

    fn read_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<DynInputStream>> {
        let Some(quota) = self.quota else {
            return self.wasi.read_via_stream(fd, offset);
        };
        let slot = Slot::take(quota)?;
        let stream = self.wasi.read_via_stream(fd, offset)?;
        let inner = self.wasi.table.delete(stream)?;
        let stream: DynInputStream = Box::new(Input::new(inner, slot));
        Ok(self.wasi.table.push(stream)?)
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<types::DirectoryEntryStream>> {
        let Some(quota) = self.quota else {
            return self.wasi.read_directory(fd).await;
        };
        let entries = quota.may_list().await?;
        let listing = self.wasi.read_directory(fd).await?;
        quota.listed(listing.rep(), entries);
        Ok(listing)
    }
}

impl HostDirectoryEntryStream for Files<'_> {
    pass! {
        read_directory_entry(
            listing: Resource<types::DirectoryEntryStream>
        ) -> FsResult<Option<types::DirectoryEntry>>;
    }

    fn drop(&mut self, listing: Resource<types::DirectoryEntryStream>) -> wasmtime::Result<()> {
        if let Some(quota) = self.quota {
            quota.unlisted(listing.rep());
        }
        HostDirectoryEntryStream::drop(&mut self.wasi, listing)
    }
}

#[cfg(test)]
mod tests;
