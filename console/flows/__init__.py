"""What a person does in several steps: each asks the core and shows dialogs, and keeps no state of the application."""
