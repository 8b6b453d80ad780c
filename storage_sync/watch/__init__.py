"""The core without a screen: for systemd and for people who read logs."""
