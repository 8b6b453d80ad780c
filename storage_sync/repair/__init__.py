"""The repair ladder and the rebuild (`sync.md` 4.2 to 4.4)."""
