//! The engine's settings: one base shared by compiling and running, so that what one makes the other loads.

use super::key::Interruption;
use crate::limit::STACK;
use crate::quantity::Bytes;
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
};

/// What host calls have of a fiber's stack beyond the guest's part; as much as wasmtime's own defaults leave.
const HOST_STACK: usize = (2 << 20) - (512 << 10);

/// One instance in use per concurrent event, one for a smoke test beside them.
const SMOKE: u32 = 1;

// What one component takes at most, from StarlingMonkey (3 core instances, one memory, 5 tables) and componentize-py's
// CPython (some 25 core instances for its shared libraries, one memory, 30 tables). What needs more runs on demand.
const CORE_INSTANCES_EACH: u32 = 48;
const MEMORIES_EACH: u32 = 2;
const TABLES_EACH: u32 = 48;
const TABLE_ELEMENTS: usize = 20_000;
const INSTANCE_BYTES: usize = 2 << 20;

/// The most one memory can grow to in the pool: all a 32-bit memory can address; the limiter says what it may.
const MEMORY_BYTES: usize = 4 << 30;

/// What stays resident of a memory and a table between events and is cleared by hand, cheaper than giving pages back
/// and faulting them in: the size of a typical handler's heap.
const MEMORY_RESIDENT: usize = 1 << 20;
const TABLE_RESIDENT: usize = 64 << 10;

/// What compiling and running must agree on. Every value that a default would take from the machine, a cargo feature or
/// an environment variable is set here.
fn base(interruption: Interruption) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(interruption == Interruption::Epoch)
        .concurrency_support(false)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .max_wasm_stack(STACK.as_usize())
        // The default of this one reads an environment variable.
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .native_unwind_info(false)
        .debug_symbols(false)
        .memory_init_cow(true);
    config
}

/// Settings for compiling.
///
/// # Errors
/// wasmtime's words when it has no code generator for the baseline's processor.
#[cfg(feature = "compile")]
pub(super) fn compiling(
    baseline: super::key::Baseline,
    interruption: Interruption,
) -> wasmtime::Result<Config> {
    use super::key::Baseline;
    let mut config = base(interruption);
    let (target, flags): (_, &[_]) = match baseline {
        Baseline::X86_64V3 => ("x86_64-unknown-linux-gnu", &["x86-64-v3", "has_avx"]),
        Baseline::X86_64 => ("x86_64-unknown-linux-gnu", &[]),
        Baseline::NeoverseN1 => (
            "aarch64-unknown-linux-gnu",
            &["has_lse", "has_fp16", "has_dotprod"],
        ),
        Baseline::Aarch64 => ("aarch64-unknown-linux-gnu", &[]),
    };
    config.target(target)?;
    for flag in flags {
        super::native::enable(&mut config, flag);
    }
    Ok(config)
}

/// Settings for running from a pool of places for `concurrency` events at once.
pub(super) fn pooling(interruption: Interruption, concurrency: u32) -> Config {
    let places = concurrency.saturating_add(SMOKE);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(places)
        .total_core_instances(places.saturating_mul(CORE_INSTANCES_EACH))
        .total_memories(places.saturating_mul(MEMORIES_EACH))
        .total_tables(places.saturating_mul(TABLES_EACH))
        .total_stacks(places)
        .max_core_instances_per_component(CORE_INSTANCES_EACH)
        .max_memories_per_component(MEMORIES_EACH)
        .max_tables_per_component(TABLES_EACH)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instance_size(INSTANCE_BYTES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(MEMORY_BYTES)
        .max_unused_warm_slots(places)
        .linear_memory_keep_resident(MEMORY_RESIDENT)
        .table_keep_resident(TABLE_RESIDENT)
        .pagemap_scan(Enabled::Auto);
    let mut config = base(interruption);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Settings for running what does not fit the pool, and everything where the address space is too small for one, with a
/// stack of so many bytes for the guest.
pub(super) fn on_demand(interruption: Interruption, stack: Bytes) -> Config {
    let mut config = base(interruption);
    let stack = stack.as_usize();
    // Stack and host's part are one piece, so one grows with the other.
    config
        .async_stack_size(stack.saturating_add(HOST_STACK))
        .max_wasm_stack(stack)
        .allocation_strategy(InstanceAllocationStrategy::OnDemand);
    config
}
