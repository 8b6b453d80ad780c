"""One screen a file; each maps a frame to the values of its widgets."""
