"""Settings, where each value came from, the token, and the configuration file."""
