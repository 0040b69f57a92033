//! Generators, text, images, tokenizers, labelling and batching
