//! A program for Lambda with no guest in it, in `examples`, so that `cargo run` in the workspace means crunchbox.
