//! Any text as a recipe: never a panic, and what resolves loads again as itself. Once with every table taken as it
//! is, once with the real parsers of data, models, methods and stages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lobe_lab::recipe::fuzz_recipe;

fuzz_target!(|text: &str| {
    fuzz_recipe(text, &lobe_lab::schedule::permissive());
    fuzz_recipe(text, &lobe_lab::schedule::callbacks());
});
