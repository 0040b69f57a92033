//! Any bytes as a text file of each format, zipped or not: never a panic, no blank document.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| lobe_data::fuzz_text(bytes));
