//! Guests that the integration tests run: each file in `examples` is a component of its own.
