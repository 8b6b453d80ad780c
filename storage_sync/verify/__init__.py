"""What looks and changes nothing: verify, diff, doctor, ping, the scan for orphaned embeddings."""
