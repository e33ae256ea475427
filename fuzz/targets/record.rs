//! See `kr_fuzz::record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kr_fuzz::record(data));
