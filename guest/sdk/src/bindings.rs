//! What `wit/` says, as Rust. Nothing is written here by hand.
#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "generated code")]
#![allow(clippy::all, clippy::restriction, reason = "generated code")]

wit_bindgen::generate!({
    path: "../../wit",
    world: "function",
    pub_export_macro: true,
    export_macro_name: "export",
});
