"""Damaged caches: diagnosis, the repair ladder, rescue of rows, rebuild."""
