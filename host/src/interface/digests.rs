//! `crunchbox:function/digests`: hashing with the processor's own instructions. A call takes as long as its bytes, which the
//! limit of a host call bounds, so that a deadline waits some ten milliseconds at most.

use crate::bindings::crunchbox::function::digests::{self, Algorithm, Host, HostHasher};
use sha2::{Digest, Sha256, Sha512};
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

/// A digest that a guest makes.
#[expect(unreachable_pub, reason = "generated code exports it again")]
pub enum Hasher {
    /// 32 bytes.
    Sha256(Sha256),
    /// 64 bytes.
    Sha512(Sha512),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn finish(&mut self) -> Vec<u8> {
        match self {
            Self::Sha256(hasher) => hasher.finalize_reset().to_vec(),
            Self::Sha512(hasher) => hasher.finalize_reset().to_vec(),
        }
    }
}

struct Has;

impl HasData for Has {
    type Data<'a> = &'a mut ResourceTable;
}

pub(crate) fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    table: fn(&mut T) -> &mut ResourceTable,
) -> wasmtime::Result<()> {
    digests::add_to_linker::<T, Has>(linker, table)
}

impl Host for &mut ResourceTable {
    fn digest(&mut self, algorithm: Algorithm, bytes: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(&bytes);
        Ok(hasher.finish())
    }
}

impl HostHasher for &mut ResourceTable {
    fn new(&mut self, algorithm: Algorithm) -> wasmtime::Result<Resource<Hasher>> {
        Ok(self.push(Hasher::new(algorithm))?)
    }

    fn update(&mut self, hasher: Resource<Hasher>, bytes: Vec<u8>) -> wasmtime::Result<()> {
        self.get_mut(&hasher)?.update(&bytes);
        Ok(())
    }

    fn finish(&mut self, hasher: Resource<Hasher>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.get_mut(&hasher)?.finish())
    }

    fn drop(&mut self, hasher: Resource<Hasher>) -> wasmtime::Result<()> {
        self.delete(hasher)?;
        Ok(())
    }
}
