//! The memory limit of one event: the sum over all memories and tables, since wasmtime's own limit counts each memory
//! by itself. Remembers the peak, and the growth it refused, so that the abort that follows can be told from others.

use crate::limit::Limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmtime::ResourceLimiter;

/// What one table element takes of the host.
const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();

#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    limit: usize,
    held: usize,
    /// The most held at once, for who cannot ask the limiter. It is what is held: WebAssembly gives nothing back.
    peak: Arc<AtomicUsize>,
    refused: Option<usize>,
    elements_max: usize,
    elements: usize,
    too_many_elements: Option<usize>,
    parts_max: usize,
}

impl MemoryLimiter {
    pub(crate) fn new(limits: &Limits, peak: Arc<AtomicUsize>) -> Self {
        Self {
            limit: limits.memory.as_usize(),
            held: 0,
            peak,
            refused: None,
            elements_max: limits.tables,
            elements: 0,
            too_many_elements: None,
            parts_max: limits.instances,
        }
    }

    /// How many elements its tables would have had after the last growth that was refused for their number.
    pub(crate) fn too_many_elements(&self) -> Option<usize> {
        self.too_many_elements
    }

    /// What the guest would have held after the last growth that was refused.
    pub(crate) fn refused(&self) -> Option<usize> {
        self.refused
    }

    fn grow(&mut self, growth: usize) -> bool {
        let wanted = self.held.saturating_add(growth);
        if wanted > self.limit {
            self.refused = Some(wanted);
            return false;
        }
        self.held = wanted;
        self.peak.store(wanted, Ordering::Relaxed);
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
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let growth = desired.saturating_sub(current);
        let elements = self.elements.saturating_add(growth);
        if elements > self.elements_max {
            self.too_many_elements = Some(elements);
            return Ok(false);
        }
        let grown = self.grow(growth.saturating_mul(TABLE_ELEMENT_BYTES));
        if grown {
            self.elements = elements;
        }
        Ok(grown)
    }

    fn instances(&self) -> usize {
        self.parts_max
    }

    fn memories(&self) -> usize {
        self.parts_max
    }

    fn tables(&self) -> usize {
        self.parts_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Bytes;

    fn limiter() -> MemoryLimiter {
        let limits = Limits {
            memory: Bytes(1000),
            tables: 20,
            ..Limits::default()
        };
        MemoryLimiter::new(&limits, Arc::default())
    }

    fn peak(limiter: &MemoryLimiter) -> usize {
        limiter.peak.load(Ordering::Relaxed)
    }

    #[test]
    fn memories_and_tables_count_together_and_the_refused_growth_is_remembered() {
        let mut limiter = limiter();
        assert!(limiter.memory_growing(0, 600, None).unwrap());
        assert!(limiter.memory_growing(0, 300, None).unwrap());
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert!(!limiter.memory_growing(600, 700, None).unwrap());
        assert_eq!((peak(&limiter), limiter.refused()), (980, Some(1080)));
    }

    #[test]
    fn a_growth_beyond_the_memorys_own_maximum_counts_for_nothing() {
        let mut limiter = limiter();
        assert!(!limiter.memory_growing(0, 900, Some(600)).unwrap());
        assert!(!limiter.table_growing(0, 9, Some(8)).unwrap());
        assert_eq!((peak(&limiter), limiter.refused()), (0, None));
    }

    #[test]
    fn elements_of_all_tables_count_together() {
        let mut limiter = limiter();
        assert!(limiter.table_growing(0, 15, None).unwrap());
        assert!(limiter.table_growing(0, 5, None).unwrap());
        assert!(!limiter.table_growing(5, 6, None).unwrap());
        assert_eq!(
            (limiter.too_many_elements(), limiter.refused()),
            (Some(21), None)
        );
    }
}
