//! What `wit/` says, as Rust types and traits. Nothing is written here by hand.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "function",
    imports: { default: trappable },
    exports: { default: async },
});
