//! Runs `kr_fuzz::token` under cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kr_fuzz::token(data));
