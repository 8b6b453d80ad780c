"""The Textual application and the command line; both ask the core in `storage_sync`."""
