"""What an operator does to a cache beside a sync: quarantine, restore, undo, detach, compact, peek."""
