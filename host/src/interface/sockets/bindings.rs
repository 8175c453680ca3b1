//! What `wasi:sockets` says of TCP and names, as Rust types and traits. All but its sockets and lookups are wasmtime's own,
//! so that a guest's streams, pollables and networks are the same everywhere.

wasmtime::component::bindgen!({
    interfaces: "
        import wasi:sockets/tcp@0.2.12;
        import wasi:sockets/tcp-create-socket@0.2.12;
        import wasi:sockets/ip-name-lookup@0.2.12;
    ",
    path: "../wit",
    imports: {
        // Waits until the last bytes have left.
        "wasi:sockets/tcp.[drop]tcp-socket": async | trappable,
        default: trappable,
    },
    trappable_error_type: {
        "wasi:sockets/network.error-code" => wasmtime_wasi::p2::SocketError,
    },
    with: {
        "wasi:io": wasmtime_wasi::p2::bindings::io,
        "wasi:clocks": wasmtime_wasi::p2::bindings::clocks,
        "wasi:sockets/network": wasmtime_wasi::p2::bindings::sockets::network,
        "wasi:sockets/tcp.tcp-socket": super::socket::Socket,
        "wasi:sockets/ip-name-lookup.resolve-address-stream": super::lookup::Lookup,
    },
});
