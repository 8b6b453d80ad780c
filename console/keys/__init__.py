"""Every key of the console, as data."""
