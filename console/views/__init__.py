"""From a snapshot to the values that the widgets draw. Pure: no Textual, no clock of its own."""
