"""What is told of a run: document, status, metrics, advice, recordings."""
