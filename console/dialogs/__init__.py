"""Questions over any screen. The safe button has focus; `esc` always closes."""
