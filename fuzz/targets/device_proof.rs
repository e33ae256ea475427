//! Runs `kr_fuzz::record` under cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kr_fuzz::device_proof(data));
