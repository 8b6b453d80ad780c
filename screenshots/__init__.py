"""Pictures of the real console on a real core, and the script that takes them."""
