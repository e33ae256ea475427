//! A cookie builder and codec.
