"""Config: each value, where it came from, and when a change takes effect. Nothing is edited here yet."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from console.bindings import bindings
from console.keys import CONFIG
from console.screens.listing import Column, Listing, ListScreen
from console.views.frame import Frame
from storage_sync.model import Setting
from widgets import fmt
from widgets.facts import Fact, FactList
from widgets.line import Line, Piece, muted, plain

_COLUMNS = (Column(" key", 24), Column("value", 0), Column("from", 22), Column("applies", 15, wide=90))


class ConfigScreen(ListScreen):
    name_id = CONFIG
    BINDINGS: ClassVar[list[BindingType]] = bindings(CONFIG)

    def listing(self, frame: Frame) -> Listing:
        config = frame.snapshot.config
        loaded = f" · loaded {fmt.clock(config.loaded_at)}" if config.loaded_at is not None else ""
        return Listing(
            title="Effective configuration",
            right=frame.label(f"{frame.clean(config.file) or 'no file'}{loaded}"),
            columns=_COLUMNS,
            rows=tuple(_row(frame, setting) for setting in config.settings),
            empty=frame.clean(config.error) or "no setting is known yet",
        )

    def details(self, frame: Frame, index: int) -> FactList:
        config = frame.snapshot.config
        facts: list[Fact] = []
        title = "Setting"
        if 0 <= index < len(config.settings):
            setting = config.settings[index]
            title = frame.clean(setting.key)
            facts = [
                Fact("means", plain(frame.clean(setting.help) or "-")),
                Fact("value", plain(frame.clean(setting.value)), extra=muted(f"from {frame.clean(setting.origin)}")),
                Fact("a change", plain(f"applies: {frame.clean(setting.applies)}")),
            ]
        if config.error:
            facts.append(Fact("error", plain(frame.clean(config.error))))
        return FactList(title, "", tuple(facts))


def _row(frame: Frame, setting: Setting) -> tuple[Line, ...]:
    return (
        (Piece(f" {frame.clean(setting.key)}"),),
        plain(frame.clean(setting.value)),
        muted(frame.clean(setting.origin)),
        muted(frame.clean(setting.applies)),
    )
