//! Runs `kr_fuzz::sql_row` under cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kr_fuzz::sql_row(data));
