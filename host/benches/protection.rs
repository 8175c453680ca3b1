//! What each protection of a guest costs: the same work on an engine without any, and with one more at a time, side by side in
//! one run. Prints a table in Markdown: `cargo bench --profile dev --bench protection`.
#![allow(clippy::unwrap_used, reason = "a measurement that fails has no figure")]
#![allow(clippy::print_stdout, reason = "the table is what this program is for")]
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    unused_imports,
    reason = "what the tests stand on is read as a module here"
)]

use crunchbox::event::Invocation;
use futures_util::future::{Either, join_all, select};
use std::pin::pin;
use std::time::{Duration, Instant};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{
    Component, ComponentType, InstancePre, Lift, Linker, Lower, ResourceTable,
};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, ResourceLimiter, Store,
    StoreContextMut, UpdateDeadline,
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

#[path = "../../tests/rig/mod.rs"]
mod rig;

/// What is measured: an event, and how many of them make one measurement.
const WORK: [(&str, usize); 4] = [
    ("nothing", 2_000),
    ("json 20", 60),
    ("sha256 20", 30),
    ("means 100", 30),
];

/// Measurements of each; the least counts, since what disturbs one only ever adds.
const ROUNDS: usize = 7;

#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Protection {
    None,
    Epochs,
    Limiter,
    Bounds,
    Figures,
}

const ALL: [(Protection, &str); 5] = [
    (Protection::None, "none"),
    (Protection::Epochs, "+ epochs, yielding each millisecond"),
    (Protection::Limiter, "+ memory limiter"),
    (Protection::Bounds, "+ bounds on host calls and handles"),
    (Protection::Figures, "+ processor time"),
];

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    held: usize,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.held += desired - current;
        Ok(self.held <= 128 << 20)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.held += (desired - current) * size_of::<usize>();
        Ok(self.held <= 128 << 20)
    }
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Failure {
    #[expect(dead_code, reason = "read by nobody: no kernel fails")]
    kind: String,
    #[expect(dead_code, reason = "as above")]
    message: String,
    #[expect(dead_code, reason = "as above")]
    trace: Vec<String>,
    #[expect(dead_code, reason = "as above")]
    details: Option<String>,
}

/// What the SDK asks for before a handler is called.
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "fatal")]
    Fatal,
}

struct Subject {
    protection: Protection,
    engine: Engine,
    pre: InstancePre<State>,
}

impl Subject {
    fn new(protection: Protection, wasm: &[u8]) -> Self {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(2)
            .total_memories(4)
            .max_memory_size(4 << 30)
            .linear_memory_keep_resident(1 << 20);
        let mut config = Config::new();
        config
            .epoch_interruption(protection >= Protection::Epochs)
            .concurrency_support(false)
            .target("x86_64-unknown-linux-gnu")
            .unwrap()
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).unwrap();
        let component = Component::new(&engine, wasm).unwrap();
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        for (name, item) in component.component_type().imports(&engine) {
            let ComponentItem::ComponentInstance(own) = item.ty else {
                continue;
            };
            if !name.starts_with("crunchbox:function/") {
                continue;
            }
            let mut instance = linker.instance(name).unwrap();
            for (function, _) in own
                .exports(&engine)
                .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
            {
                if function == "threshold" {
                    instance
                        .func_wrap(function, |_, ()| Ok((Level::Info,)))
                        .unwrap();
                } else {
                    let never = |_: StoreContextMut<'_, State>, _, _: &[_], _: &mut [_]| {
                        Err(wasmtime::Error::msg("asked"))
                    };
                    instance.func_new(function, never).unwrap();
                }
            }
        }
        let pre = linker.instantiate_pre(&component).unwrap();
        Self {
            protection,
            engine,
            pre,
        }
    }

    async fn event(&self, event: &str) {
        let state = State {
            wasi: WasiCtx::builder().build(),
            table: ResourceTable::new(),
            held: 0,
        };
        let mut store = Store::new(&self.engine, state);
        if self.protection >= Protection::Epochs {
            store.set_epoch_deadline(1);
            store.epoch_deadline_callback(|_| {
                Ok(UpdateDeadline::YieldCustom(
                    1,
                    Box::pin(tokio::task::yield_now()),
                ))
            });
        }
        if self.protection >= Protection::Limiter {
            store.limiter(|state| state);
        }
        if self.protection >= Protection::Bounds {
            store.set_hostcall_fuel(16 << 20);
            store.set_max_component_handles(10_000);
        }
        let call = async {
            let instance = self.pre.instantiate_async(&mut store).await.unwrap();
            let interface = instance
                .get_export_index(&mut store, None, "crunchbox:function/handler@0.1.0")
                .unwrap();
            let handle = instance
                .get_export_index(&mut store, Some(&interface), "handle")
                .unwrap();
            let handle = instance
                .get_typed_func::<(&str,), (Result<String, Failure>,)>(&mut store, handle)
                .unwrap();
            let (result,) = handle.call_async(&mut store, (event,)).await.unwrap();
            assert!(result.is_ok());
        };
        if self.protection < Protection::Figures {
            return call.await;
        }
        let mut call = std::pin::pin!(call);
        let mut spent = Duration::ZERO;
        std::future::poll_fn(|ctx| {
            let before = thread_time();
            let polled = call.as_mut().poll(ctx);
            spent += thread_time() - before;
            polled
        })
        .await;
        std::hint::black_box(spent);
    }
}

fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap(),
        time.tv_nsec.try_into().unwrap(),
    )
}

/// Guests that never end and guests that do, as many of each, all at once.
const AT_ONCE: usize = 8;

/// Events of each honest guest.
const EVENTS: usize = 40;

/// How long honest events take alone, and beside as many guests that loop for ever.
fn fairness() {
    let rig = rig::Rig::of("work")
        .at_once(2 * AT_ONCE)
        .time(Duration::from_secs(3600))
        .start();
    let event = |text: &str| Invocation {
        event: format!("\"{text}\"").into_bytes(),
        ..Invocation::default()
    };
    let honest = async || {
        let mut times = Vec::new();
        for _ in 0..EVENTS {
            let started = Instant::now();
            assert!(rig.host.handle(event("json 20")).await.result.is_ok());
            times.push(started.elapsed());
        }
        times
    };
    let at = |times: &mut Vec<Duration>, hundredth: usize| {
        times.sort();
        times[(times.len() - 1) * hundredth / 100]
    };
    let alone = at(&mut rig.block_on(honest()), 50);
    let together = async {
        let hostile = join_all((0..AT_ONCE).map(|_| rig.host.handle(event("means 4000000000"))));
        let honest = join_all((0..AT_ONCE).map(|_| honest()));
        match select(pin!(hostile), pin!(honest)).await {
            Either::Left(_) => panic!("what never ends has ended"),
            Either::Right((times, _)) => times.concat(),
        }
    };
    let mut times = rig.block_on(together);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let each = u32::try_from(2 * AT_ONCE / cores.min(2 * AT_ONCE)).unwrap();
    let bound = 2 * each * alone + Duration::from_millis(10);
    println!(
        "\n{AT_ONCE} honest guests beside {AT_ONCE} that never end, on {cores} cores: {alone:.1?} alone, a fair share is {:.1?}; \
         together p50 {:.1?}, p99 {:.1?} (twice the share and ten ticks: {bound:.1?})",
        each * alone,
        at(&mut times, 50),
        at(&mut times, 99),
    );
}

fn main() {
    protections();
    fairness();
}

fn protections() {
    let wasm = std::fs::read(rig::guest("work")).unwrap();
    let subjects = ALL.map(|(protection, _)| Subject::new(protection, &wasm));
    let engines: Vec<_> = subjects
        .iter()
        .map(|subject| subject.engine.weak())
        .collect();
    std::thread::spawn(move || {
        loop {
            std::thread::park_timeout(Duration::from_millis(1));
            engines
                .iter()
                .filter_map(|engine| engine.upgrade())
                .for_each(|engine| engine.increment_epoch());
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    println!(
        "| protections | {} |",
        WORK.map(|(event, _)| event).join(" | ")
    );
    println!("| --- |{}", " ---: |".repeat(WORK.len()));
    let mut least = [[Duration::MAX; WORK.len()]; ALL.len()];
    for _ in 0..ROUNDS {
        for (column, (event, count)) in WORK.iter().enumerate() {
            let event = format!("\"{event}\"");
            for (row, subject) in subjects.iter().enumerate() {
                let started = Instant::now();
                runtime.block_on(async {
                    for _ in 0..*count {
                        subject.event(&event).await;
                    }
                });
                let each = started.elapsed() / u32::try_from(*count).unwrap();
                least[row][column] = least[row][column].min(each);
            }
        }
    }
    for (row, (_, name)) in ALL.iter().enumerate() {
        let cells = (0..WORK.len()).map(|column| {
            let (own, none) = (least[row][column], least[0][column]);
            format!(
                "{own:.1?} ({:.2} ×)",
                own.as_secs_f64() / none.as_secs_f64()
            )
        });
        println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
}
