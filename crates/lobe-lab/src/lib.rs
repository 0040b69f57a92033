//! Recipes, stage graph, cache, runs and statistics
