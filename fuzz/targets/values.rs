//! See `kr_fuzz::values`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kr_fuzz::values(data));
