//! Tape of coarse operations with hand-derived backward passes, optimisers and workers
