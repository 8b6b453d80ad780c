"""Plan, fetch, stage, guard, apply, prove: one run of a sync (docs/protocol.md#steps)."""
