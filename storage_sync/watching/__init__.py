"""The headless companion of the console: `watch`, for systemd and for people who read logs (`operations.md` 6)."""
