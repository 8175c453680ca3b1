//! What `wit/` says, as Rust types and traits. Nothing is written here by hand.

wasmtime::component::bindgen!({
    inline: "
        package crunchbox:host;
        world hosted {
            include crunchbox:function/function@0.1.0;
            import wasi:config/store@0.2.0-rc.1;
        }
    ",
    path: "../wit",
    world: "crunchbox:host/hosted",
    imports: {
        "crunchbox:function/config": async | trappable,
        "crunchbox:function/objects": async | trappable,
        "wasi:config/store": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "crunchbox:function/digests.hasher": crate::interface::digests::Hasher,
        "crunchbox:function/objects.reader": crate::interface::objects::Reader,
        "crunchbox:function/objects.writer": crate::interface::objects::Writer,
        "crunchbox:function/objects.listing": crate::interface::objects::Listing,
    },
});
