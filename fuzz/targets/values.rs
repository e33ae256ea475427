//! Runs `kr_fuzz::values` under cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kr_fuzz::values(data));
