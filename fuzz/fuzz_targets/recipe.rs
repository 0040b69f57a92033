//! Any text as a recipe: never a panic, and what resolves loads again as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| lobe_lab::recipe::fuzz_recipe(text));
