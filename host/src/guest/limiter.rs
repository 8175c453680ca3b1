//! The memory limit of one event: the sum over all memories and tables, since wasmtime's own limit counts each memory
//! by itself. Remembers the peak, and the growth it refused, so that the abort that follows can be told from others.

use wasmtime::ResourceLimiter;

/// What one table element takes of the host.
const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();

/// More instances, memories or tables than any toolchain makes. Each costs the host memory that the guest's limit does
/// not count, up to megabytes for an instance with a million globals.
const INSTANCES_MAX: usize = 64;
const MEMORIES_MAX: usize = 64;
const TABLES_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    limit: usize,
    held: usize,
    peak: usize,
    before: Held,
    refused: Option<usize>,
}

/// What was held before the last growth, to go back to if it comes to nothing.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    bytes: usize,
    peak: usize,
}

impl MemoryLimiter {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            held: 0,
            peak: 0,
            before: Held::default(),
            refused: None,
        }
    }

    /// The most bytes held at once.
    pub(crate) fn peak(&self) -> usize {
        self.peak
    }

    /// What the guest would have held after the last growth that was refused.
    pub(crate) fn refused(&self) -> Option<usize> {
        self.refused
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    fn grow(&mut self, growth: usize) -> bool {
        let wanted = self.held.saturating_add(growth);
        if wanted > self.limit {
            self.refused = Some(wanted);
            return false;
        }
        self.before = Held {
            bytes: self.held,
            peak: self.peak,
        };
        self.held = wanted;
        self.peak = self.peak.max(wanted);
        true
    }
}

impl MemoryLimiter {
    /// The last growth was allowed here and failed all the same, at the memory's own maximum for instance.
    fn undo(&mut self) {
        self.held = self.before.bytes;
        self.peak = self.before.peak;
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo();
        Ok(())
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo();
        Ok(())
    }

    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Beyond its own maximum it will not grow, and asking is no fault.
        Ok(maximum.is_none_or(|maximum| desired <= maximum)
            && self.grow(desired.saturating_sub(current)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(maximum.is_none_or(|maximum| desired <= maximum)
            && self.grow(
                desired
                    .saturating_sub(current)
                    .saturating_mul(TABLE_ELEMENT_BYTES),
            ))
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_count_together_and_the_refused_growth_is_remembered() {
        let mut limiter = MemoryLimiter::new(1000);
        assert!(limiter.memory_growing(0, 600, None).unwrap());
        assert!(limiter.memory_growing(0, 300, None).unwrap());
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert!(!limiter.memory_growing(600, 700, None).unwrap());
        assert_eq!((limiter.peak(), limiter.refused()), (980, Some(1080)));
    }

    #[test]
    fn a_growth_that_comes_to_nothing_is_given_back() {
        let mut limiter = MemoryLimiter::new(1000);
        assert!(limiter.memory_growing(0, 600, None).unwrap());
        assert!(limiter.memory_growing(600, 900, None).unwrap());
        limiter
            .memory_grow_failed(wasmtime::Error::msg("full"))
            .unwrap();
        assert_eq!(limiter.peak(), 600);
        assert!(limiter.memory_growing(600, 1000, None).unwrap());
    }
}
