"""What is remembered outside the cache: history, witness, quarantined rows, the undo log."""
