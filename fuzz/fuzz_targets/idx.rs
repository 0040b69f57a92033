//! Any bytes as an IDX or CIFAR file: never a panic, and as many pixels as the header says.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| lobe_data::fuzz_images(bytes));
