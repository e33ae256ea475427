//! Runs `kr_fuzz::redis_fields` under cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kr_fuzz::redis_fields(data));
