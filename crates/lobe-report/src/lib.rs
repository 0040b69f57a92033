//! HTML report and terminal tables from a run directory
