"""The only way from the console to the core: the bridge between the threads, and requests over it."""
