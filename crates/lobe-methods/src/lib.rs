//! Localisation methods, ablations, attacks and measures: one file each
