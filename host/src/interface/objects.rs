//! `crunchbox:function/objects`: objects of S3 and of folders, held against the function's grants by their names. How they are
//! read and written is for `object`.

use crate::bindings::crunchbox::function::objects::{
    self, Host, HostListing, HostReader, HostWriter,
};
use crate::error::{Fault, chain};
use crate::meter::{Kind, Meter};
use crate::object::{Access, Name, ObjectError, Objects, Pages, Place, Rule, Sink, Source, shown};
use bytes::Bytes;
use std::sync::Arc;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

/// The most bytes of one read: enough that a call costs little beside them.
const READ_BYTES_MAX: usize = 1 << 20;

/// The most readers, writers and listings open at a time: each may hold a connection.
const OPEN_MAX: usize = 16;

/// The most writers among them: each may hold a part of 5 MiB that is not sent yet, and the host has 24 MiB for an event.
const WRITERS_MAX: usize = 4;

/// An object that a guest reads.
#[expect(unreachable_pub, reason = "generated code exports it again")]
pub struct Reader(Box<dyn Source>);

/// An object that a guest writes.
#[expect(unreachable_pub, reason = "generated code exports it again")]
pub struct Writer(Box<dyn Sink>);

/// A listing that a guest reads.
#[expect(unreachable_pub, reason = "generated code exports it again")]
pub struct Listing(Box<dyn Pages>);

/// What one event may reach.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) objects: Objects,
    pub(crate) rules: Arc<[Rule]>,
    pub(crate) meter: Meter,
}

impl Reach {
    pub(crate) fn new(reach: &crate::reach::Reach, meter: Meter) -> Self {
        Self {
            objects: reach.outside.objects().clone(),
            rules: Arc::clone(&reach.objects),
            meter,
        }
    }

    /// Where an object is that the guest may do something with.
    fn place(
        &self,
        at: &str,
        name: Result<Name, ObjectError>,
        access: Access,
    ) -> Result<Place, ObjectError> {
        let place = name.and_then(|name| {
            let place = self.rules.iter().find_map(|rule| rule.place(&name, access));
            place.ok_or_else(|| ObjectError::not_granted(&name, access))
        });
        if place.is_err() {
            let target = format!("{access} {}", shown(at));
            self.meter.denied(Kind::Objects, &target);
        }
        place
    }

    /// An error as the guest is told it. What the operator could do something about is told him, too.
    fn told(&self, error: &ObjectError) -> objects::ObjectError {
        let message = chain(error);
        match error {
            ObjectError::Unreachable { .. } | ObjectError::Unusable { .. } => {
                self.meter.noted(Kind::Objects, &message);
            }
            ObjectError::NotGranted { .. }
            | ObjectError::Name { .. }
            | ObjectError::TooMany { .. } => {}
        }
        objects::ObjectError {
            code: error.code().name().to_owned(),
            message,
            retryable: error.is_retryable(),
        }
    }
}

/// What one event may reach, and the table of what it has open.
pub(crate) struct View<'a> {
    pub(crate) table: &'a mut ResourceTable,
    pub(crate) reach: &'a Reach,
}

struct Has;

impl HasData for Has {
    type Data<'a> = View<'a>;
}

pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> View<'_>,
) -> wasmtime::Result<()> {
    objects::add_to_linker::<T, Has>(linker, view)
}

impl View<'_> {
    /// Where something is that the guest may open now.
    fn begin(
        &mut self,
        at: &str,
        name: Result<Name, ObjectError>,
        access: Access,
    ) -> Result<Place, ObjectError> {
        let place = self.reach.place(at, name, access)?;
        self.check_room(access)?;
        self.reach.meter.called(Kind::Objects);
        Ok(place)
    }

    /// Refuses one more than may be open.
    fn check_room(&mut self, access: Access) -> Result<(), ObjectError> {
        let (mut open, mut writers) = (0, 0);
        for entry in self.table.iter_mut() {
            let is_writer = entry.is::<Writer>();
            writers += usize::from(is_writer);
            open += usize::from(is_writer || entry.is::<Reader>() || entry.is::<Listing>());
        }
        let full = |what, most| Err(ObjectError::TooMany { what, most });
        if open >= OPEN_MAX {
            return full("readers, writers and listings", OPEN_MAX);
        }
        if access == Access::Write && writers >= WRITERS_MAX {
            return full("writers", WRITERS_MAX);
        }
        Ok(())
    }

    async fn source(&mut self, at: &str) -> Result<Option<Box<dyn Source>>, ObjectError> {
        let place = self.begin(at, Name::object(at), Access::Read)?;
        self.reach.objects.open(&place).await
    }

    async fn sink(&mut self, at: &str) -> Result<Box<dyn Sink>, ObjectError> {
        let place = self.begin(at, Name::object(at), Access::Write)?;
        self.reach.objects.create(&place).await
    }

    async fn pages(&mut self, prefix: &str) -> Result<Box<dyn Pages>, ObjectError> {
        let place = self.begin(prefix, Name::prefix(prefix), Access::List)?;
        self.reach.objects.list(&place).await
    }
}

/// What a call gives: the guest's result, or a trap.
type Called<R> = wasmtime::Result<Result<R, objects::ObjectError>>;

impl Host for View<'_> {
    async fn read(&mut self, at: String) -> Called<Option<Resource<Reader>>> {
        Ok(match self.source(&at).await {
            Ok(None) => Ok(None),
            Ok(Some(source)) => Ok(Some(self.table.push(Reader(source))?)),
            Err(error) => Err(self.reach.told(&error)),
        })
    }

    async fn write(&mut self, at: String) -> Called<Resource<Writer>> {
        Ok(match self.sink(&at).await {
            Ok(sink) => Ok(self.table.push(Writer(sink))?),
            Err(error) => Err(self.reach.told(&error)),
        })
    }

    async fn list(&mut self, prefix: String) -> Called<Resource<Listing>> {
        Ok(match self.pages(&prefix).await {
            Ok(pages) => Ok(self.table.push(Listing(pages))?),
            Err(error) => Err(self.reach.told(&error)),
        })
    }
}

impl HostReader for View<'_> {
    async fn size(&mut self, reader: Resource<Reader>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&reader)?.0.size())
    }

    async fn read(&mut self, reader: Resource<Reader>, most: u32) -> Called<Vec<u8>> {
        let most = usize::try_from(most).unwrap_or(READ_BYTES_MAX);
        let reader = self.table.get_mut(&reader)?;
        Ok(match reader.0.read(most.clamp(1, READ_BYTES_MAX)).await {
            Ok(bytes) => {
                self.reach.meter.received(Kind::Objects, bytes.len());
                Ok(bytes.into())
            }
            Err(error) => Err(self.reach.told(&error)),
        })
    }

    async fn drop(&mut self, reader: Resource<Reader>) -> wasmtime::Result<()> {
        self.table.delete(reader)?;
        Ok(())
    }
}

impl HostWriter for View<'_> {
    async fn write(&mut self, writer: Resource<Writer>, bytes: Vec<u8>) -> Called<()> {
        let count = bytes.len();
        let writer = self.table.get_mut(&writer)?;
        let written = writer.0.write(Bytes::from(bytes)).await;
        if written.is_ok() {
            self.reach.meter.sent(Kind::Objects, count);
        }
        Ok(written.map_err(|error| self.reach.told(&error)))
    }

    async fn finish(&mut self, writer: Resource<Writer>) -> Called<()> {
        let finished = self.table.get_mut(&writer)?.0.finish().await;
        Ok(finished.map_err(|error| self.reach.told(&error)))
    }

    async fn drop(&mut self, writer: Resource<Writer>) -> wasmtime::Result<()> {
        self.table.delete(writer)?;
        Ok(())
    }
}

impl HostListing for View<'_> {
    async fn next(&mut self, listing: Resource<Listing>) -> Called<Vec<objects::Entry>> {
        let page = self.table.get_mut(&listing)?.0.next().await;
        let page = page.map_err(|error| self.reach.told(&error));
        Ok(page.map(|entries| {
            let entries = entries.into_iter().map(|entry| objects::Entry {
                at: entry.at,
                size: entry.size,
                modified_ms: entry.modified_ms,
            });
            entries.collect()
        }))
    }

    async fn drop(&mut self, listing: Resource<Listing>) -> wasmtime::Result<()> {
        self.table.delete(listing)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Refusals;
    use crate::telemetry::{Format, Log, Memory, Scope};

    fn reach(rules: &[Rule]) -> (Reach, Log, Memory) {
        let memory = Memory::default();
        let log = Log::new(Format::Plain, crate::error::Level::Info, memory.clone()).unwrap();
        let scope = Scope::of(&crate::event::Identity::default(), "r-1");
        let reach = Reach {
            objects: Objects::default(),
            rules: rules.into(),
            meter: Meter::new(Refusals::default(), log.clone(), scope),
        };
        (reach, log, memory)
    }

    /// A guest with a folder of its own, in which it may do these things.
    struct Guest {
        folder: tempfile::TempDir,
        reach: Reach,
        table: ResourceTable,
    }

    impl Guest {
        fn new(allow: &[Access]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let at = format!("{}/", folder.path().display());
            let (reach, _, _) = reach(&[Rule::new(&at, allow).unwrap()]);
            Self {
                folder,
                reach,
                table: ResourceTable::new(),
            }
        }

        fn at(&self, name: &str) -> String {
            format!("{}/{name}", self.folder.path().display())
        }

        fn view(&mut self) -> View<'_> {
            View {
                table: &mut self.table,
                reach: &self.reach,
            }
        }
    }

    /// A second handle of the same resource, as each call of a guest is given one.
    fn again<T: 'static>(resource: &Resource<T>) -> Resource<T> {
        Resource::new_borrow(resource.rep())
    }

    #[tokio::test]
    async fn what_is_not_granted_is_counted_and_told_with_what_to_grant() {
        let (reach, log, memory) = reach(&[]);
        let mut table = ResourceTable::new();
        let mut view = View {
            table: &mut table,
            reach: &reach,
        };
        let denied = Host::read(&mut view, "s3://acme/a".to_owned()).await;
        let error = denied.unwrap().unwrap_err();
        assert_eq!(error.code, "Crunchbox.ObjectDenied");
        assert!(error.message.contains("[grants]") && !error.retryable);
        let climbing = Host::write(&mut view, "s3://acme/../a".to_owned()).await;
        assert!(climbing.unwrap().is_err());
        assert_eq!(reach.meter.account().denied(), 2);
        log.flush();
        assert!(
            memory.text().contains("read s3://acme/a"),
            "{}",
            memory.text()
        );
    }

    #[tokio::test]
    async fn an_object_is_written_read_and_listed() {
        let mut guest = Guest::new(&[Access::Read, Access::Write, Access::List]);
        let (at, all) = (guest.at("a/b"), guest.at(""));
        let mut view = guest.view();
        let writer = Host::write(&mut view, at.clone()).await.unwrap().unwrap();
        let written = HostWriter::write(&mut view, again(&writer), b"bytes".to_vec()).await;
        written.unwrap().unwrap();
        let early = Host::read(&mut view, at.clone()).await.unwrap().unwrap();
        assert!(early.is_none());
        let finished = HostWriter::finish(&mut view, again(&writer)).await;
        finished.unwrap().unwrap();
        HostWriter::drop(&mut view, writer).await.unwrap();

        let reader = Host::read(&mut view, at.clone()).await.unwrap().unwrap();
        let reader = reader.unwrap();
        let size = HostReader::size(&mut view, again(&reader)).await;
        assert_eq!(size.unwrap(), 5);
        for (most, expected) in [(3, "byt"), (0, "e"), (u32::MAX, "s"), (1, "")] {
            let piece = HostReader::read(&mut view, again(&reader), most).await;
            assert_eq!(piece.unwrap().unwrap(), expected.as_bytes());
        }
        let listing = Host::list(&mut view, all).await.unwrap().unwrap();
        let page = HostListing::next(&mut view, again(&listing)).await;
        let page = page.unwrap().unwrap();
        assert_eq!((page[0].at.as_str(), page[0].size), (at.as_str(), 5));
        let (_, figures) = guest.reach.meter.account().used().next().unwrap();
        assert_eq!((figures.sent, figures.received, figures.calls), (5, 5, 4));
    }

    #[tokio::test]
    async fn a_guest_has_so_many_open_and_what_it_drops_makes_room() {
        let mut guest = Guest::new(&[Access::Write, Access::List]);
        let (at, all) = (guest.at("a"), guest.at(""));
        let mut view = guest.view();
        let mut writers = Vec::new();
        for _ in 0..WRITERS_MAX {
            writers.push(Host::write(&mut view, at.clone()).await.unwrap().unwrap());
        }
        let error = Host::write(&mut view, at.clone())
            .await
            .unwrap()
            .unwrap_err();
        assert!(error.message.contains("4 writers"), "{}", error.message);
        for _ in WRITERS_MAX..OPEN_MAX {
            Host::list(&mut view, all.clone()).await.unwrap().unwrap();
        }
        assert!(Host::list(&mut view, all).await.unwrap().is_err());
        let dropped = HostWriter::drop(&mut view, writers.remove(0)).await;
        dropped.unwrap();
        assert!(Host::write(&mut view, at).await.unwrap().is_ok());
    }
}
