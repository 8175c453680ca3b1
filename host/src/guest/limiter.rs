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
    refused: Option<usize>,
}

impl MemoryLimiter {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            held: 0,
            refused: None,
        }
    }

    /// The most bytes held at once: WebAssembly gives none back.
    pub(crate) fn peak(&self) -> usize {
        self.held
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
        self.held = wanted;
        true
    }
}

/// wasmtime also tells of growths that failed. Nothing is given back for them: with some kinds of memory (off today) it
/// tells of growths that were never asked for here, and a guest could have the same one given back again and again.
impl ResourceLimiter for MemoryLimiter {
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
    fn a_growth_beyond_the_memorys_own_maximum_counts_for_nothing() {
        let mut limiter = MemoryLimiter::new(1000);
        assert!(!limiter.memory_growing(0, 900, Some(600)).unwrap());
        assert!(!limiter.table_growing(0, 9, Some(8)).unwrap());
        assert_eq!((limiter.peak(), limiter.refused()), (0, None));
    }
}
