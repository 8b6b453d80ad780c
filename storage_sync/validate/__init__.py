"""What is checked after every sync and by `verify` (`cli.md`, The checks)."""
