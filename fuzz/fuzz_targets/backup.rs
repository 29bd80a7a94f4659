#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chameleon_fuzz::backup::run(bytes));
