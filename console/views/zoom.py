"""One panel alone below the verdict, and all of them again."""

from __future__ import annotations

from textual.widget import Widget

ASIDE, ZOOMED = "-aside", "-zoomed"


def toggle_zoom(body: Widget, panel: Widget | None) -> None:
    """Show only `panel` of what is in `body`; or everything again. Nothing where no panel of it has the focus."""
    zoomed = body.query(f".{ZOOMED}")
    if zoomed:
        body.query(f".{ASIDE}").remove_class(ASIDE)
        zoomed.remove_class(ZOOMED)
        return
    node = panel
    if node is None or body not in node.ancestors:
        return
    while node is not body and isinstance(node.parent, Widget):
        for sibling in node.parent.children:
            sibling.set_class(sibling is not node, ASIDE)
        node.add_class(ZOOMED)
        node = node.parent
