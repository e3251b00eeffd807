"""Objects through time: linking, lineage, corrections, motion. No torch, no UI."""
