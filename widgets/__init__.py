"""Values in, messages out: panels, meters, tables and formatters that know nothing of syncing."""
