"""Keys that an operator moved: what `ui.keymap` asks for, checked, as the key table that is in effect.

An entry that cannot hold is left out, never half applied: the action keeps its own key, and a sentence says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace
from textual.binding import Binding
from textual.keys import Keys, format_key

from console.keys.table import EVERYWHERE, IN_DIALOGS, KEYS, LISTS, QUARANTINE, REPLAY, SCREENS, Key

_NAMED = frozenset(key.value for key in Keys if not key.value.startswith("<"))
_KEPT = frozenset({"enter", "escape", "tab", "shift+tab", "left", "right", "ctrl+c", "ctrl+i", "ctrl+m"}) | {
    name for key in KEYS if key.where == LISTS for name in key.keys.split(",")
}
"""What lists, dialogs and boxes answer to before any action hears it, and what a terminal cannot tell from that."""
_FUNCTION = frozenset(f"f{number}" for number in range(1, 25))
_SHOWN = {name: name for name in ("space", "enter", "tab", "up", "down")} | {"backspace": "bksp", "escape": "esc"}


class Keymap(Struct, frozen=True):
    """`keys`: id to Textual's names of what holds. `table`: every key as it is now. `problems`: what does not hold."""

    keys: Mapping[str, str]
    table: tuple[Key, ...]
    problems: tuple[str, ...]

    @property
    def moved(self) -> tuple[str, ...]:
        """The keys that differ, in words: `Sync is f6, not s`."""
        return tuple(
            f"{key.label.rstrip('…')} is {key.shown}, not {own.shown}"
            for key, own in zip(self.table, KEYS, strict=True)
            if key != own
        )


def keymap(asked: Mapping[str, str]) -> Keymap:
    """What holds of `asked` (id of an action to keys with commas between)."""
    own = {key.id: key for key in KEYS}
    held: dict[str, str] = {}
    problems: list[str] = []
    for name, wanted in asked.items():
        key = own.get(name)
        names = [_normal(part.strip()) for part in wanted.split(",")]
        if key is None:
            problems.append(f"{name}: there is no such action; storage-sync keys --json lists them")
        elif not key.bound:
            problems.append(f"{name}: this key cannot be moved")
        elif fault := next((said for one in names if (said := _fault(one))), ""):
            problems.append(f"{name}: {fault}; {key.shown} stays")
        else:
            held[name] = ",".join(names)
    while clash := next(_clashes(held), None):
        lost, name, other = clash
        del held[lost]
        problems.append(f"{lost}: {_written(name)} is {other.label.rstrip('…')} already; {own[lost].shown} stays")
    return Keymap(held, _table(held), tuple(problems))


def _table(held: Mapping[str, str]) -> tuple[Key, ...]:
    return tuple(
        replace(key, keys=held[key.id], shown=" ".join(_written(name) for name in held[key.id].split(",")))
        if key.id in held
        else key
        for key in KEYS
    )


def _clashes(held: Mapping[str, str]) -> Iterator[tuple[str, str, Key]]:
    """(moved action that must give way, key, the other action), place by place."""
    table = _table(held)
    for place in (*(name for name, _, _ in SCREENS), REPLAY, QUARANTINE):
        used: dict[str, Key] = {}
        for key in table:
            heard = key.where == EVERYWHERE and (place != QUARANTINE or key.id in IN_DIALOGS)
            if not key.bound or not (key.where == place or heard):
                continue
            for name in key.keys.split(","):
                other = used.setdefault(name, key)
                if other is key:
                    continue
                yield (key.id, name, other) if key.id in held else (other.id, name, key)


def _normal(name: str) -> str:
    """Textual's name of a key: a sign such as `!` has a long one."""
    if len(name) == 1:
        return next(iter(Binding.make_bindings([Binding(name, "")]))).key
    return name.lower()


def _fault(name: str) -> str:
    """Why it cannot be the key of an action; '' when it can."""
    if name in _KEPT:
        return f"{_written(name)} belongs to lists and dialogs"
    if name in _NAMED or len(format_key(name.removeprefix("alt+"))) == 1:
        return ""
    return f"{name or 'nothing'} is not a key"


def _written(name: str) -> str:
    if name.startswith("ctrl+"):
        return f"^{_written(name.removeprefix('ctrl+'))}"
    if name in _FUNCTION:
        return name.upper()
    return _SHOWN.get(name) or format_key(name)
