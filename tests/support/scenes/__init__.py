"""Made-up states of the console, for component snapshots."""
