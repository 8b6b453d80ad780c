"""What an operator does to a cache beside a sync: take rows out, put them back, undo, detach, compact, peek."""
