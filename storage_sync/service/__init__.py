"""The long-running core: when something runs, what is observed meanwhile, what is published, what may be asked."""
