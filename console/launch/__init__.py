"""What starts a console: settings to core and screen, plain lines, replays, recordings."""
