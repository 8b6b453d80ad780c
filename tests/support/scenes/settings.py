"""The made-up settings of every scene. Deterministic."""

from __future__ import annotations

from storage_sync.values.snapshot import ConfigView, Setting


def settings(loaded_at: float) -> ConfigView:
    """`loaded_at`: UTC seconds."""
    rows = (
        ("profile", "prod-eu", "--profile", "restart", "Name of the set of settings in use."),
        ("access", "read-write", "default", "W, this run", "Whether this tool may write the cache."),
        ("primary", "libsql://memory-prod.turso.io", "file, line 4", "restart", "URL of the primary."),
        ("token", "set", "env TURSO_AUTH_TOKEN", "restart", "Where the token comes from; it is never shown."),
        ("cache", "/var/lib/do-memory/cache.redb", "file, line 8", "restart", "Path of the cache file."),
        ("max_episodes_cache", "1,000", "default", "next full sync", "How many of the newest episodes are cached."),
        ("batch_size", "100", "default", "next sync", "Rows in one batch."),
        ("sync_patterns", "true", "default", "next full sync", "Whether patterns and what belongs to them are synced."),
        ("sync_embeddings", "true", "file, line 13", "next full sync", "Whether embeddings are synced."),
        ("interval_s", "600", "file, line 14", "now", "Seconds between two compares."),
        ("max_removal_ratio", "0.5", "default", "next plan", "Share of rows that one sync may remove."),
        ("staleness_s", "300", "file, line 17", "now", "Age above which a proof is too old."),
        ("ui.refresh", "0.5 s", "default", "now", "How often the picture is redrawn."),
        ("ui.theme", "calm-dark", "default", "now", "Colours."),
    )
    return ConfigView(tuple(Setting(*row) for row in rows), "~/.config/storage-sync/config.toml", loaded_at)
