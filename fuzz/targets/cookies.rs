//! Runs `kr_fuzz::cookies` under cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kr_fuzz::cookies(data));
