"""What several test suites share: a real server and its tokens."""
