"""Plan, fetch, stage, guard, apply, prove: one run of a sync (`sync.md` 4.3)."""
