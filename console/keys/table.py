"""Every key, declared once: bindings, footer, help, palette and the table of keys come from here.

Textual is not imported, so that `storage-sync keys` stays cheap.

See docs/console.md#keys.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct, field

OVERVIEW = "overview"
VALIDATION = "validation"
ORPHANS = "orphans"
HISTORY = "history"
CONFIG = "config"
EVERYWHERE = "everywhere"
LISTS = "lists"
REPLAY = "replay"
QUARANTINE = "quarantine"

IN_DIALOGS = frozenset({"help", "palette", "guide"})
"""Keys of every screen that a dialog has too."""

SCREENS: tuple[tuple[str, str, str], ...] = (
    (OVERVIEW, "1", "Overview"),
    (VALIDATION, "2", "Validation"),
    (ORPHANS, "3", "Orphans"),
    (HISTORY, "4", "History"),
    (CONFIG, "5", "Config"),
)
"""(id, key, name) in the order of the tabs."""
_SHOWS = (
    "primary, cache, freshness and the newest runs",
    "the checks, and what differs",
    "embeddings without an owner, and broken ones",
    "all runs, and what each of them did",
    "the settings and where they come from",
)


class Level(IntEnum):
    """How much a key can change, and so what it asks for first (docs/console.md#plans)."""

    LOOK = 0
    ADD = 1
    REMOVE = 2
    REPLACE = 3


class Key(Struct, frozen=True):
    """`keys`: Textual's names; `shown`: how it is written; `action`: what runs; `footer`: place in the footer, 0 none.

    `bound` is False where Textual or a widget has the binding already and only the help needs the line.
    """

    id: str
    keys: str
    shown: str
    label: str
    tooltip: str
    where: str = EVERYWHERE
    action: str = ""
    footer: int = 0
    level: Level = Level.LOOK
    writes: bool = False
    bound: bool = True
    footer_screens: frozenset[str] = field(default_factory=frozenset)
    """Screens whose footer lists it; empty: all."""
    back: str = ""
    """Its label while it ends what it made before; '' where it makes the same each time."""

    def named(self, turned: frozenset[str]) -> str:
        """What it does now. `turned`: ids of keys that end what they made before."""
        return self.back if self.id in turned else self.label


_OPERATE = frozenset({OVERVIEW, VALIDATION})

KEYS: tuple[Key, ...] = (
    *(
        Key(f"screen.{name}", key, key, f"{title}", shows, action=f"go('{name}')")
        for (name, key, title), shows in zip(SCREENS, _SHOWS, strict=True)
    ),
    Key("panel.next", "tab", "tab", "Next panel", "next panel; shift+tab goes back", bound=False),
    Key("validate", "v", "v", "Validate", "run the quick checks", action="validate", footer=1),
    Key(
        "sync",
        "s",
        "s",
        "Sync…",
        "plan a sync and show it; enter on its button runs it",
        action="sync",
        footer=2,
        level=Level.ADD,
    ),
    Key(
        "repair",
        "r",
        "r",
        "Repair…",
        "plan a repair, or resume one that was stopped",
        action="repair",
        footer=4,
        level=Level.REMOVE,
        footer_screens=frozenset({OVERVIEW}),
    ),
    Key(
        "rebuild",
        "R",
        "R",
        "Rebuild…",
        "plan a new cache file beside the old one; an unfinished one is resumed",
        action="rebuild",
        level=Level.REPLACE,
    ),
    Key(
        "quarantine",
        "u",
        "u",
        "Quarantine…",
        "rejected and quarantined rows, and runs that can be undone",
        action="quarantine",
        level=Level.ADD,
    ),
    Key(
        "cancel",
        "x",
        "x",
        "Cancel",
        "stop the running operation; staged rows are kept",
        action="cancel",
        footer=3,
        footer_screens=frozenset({OVERVIEW}),
    ),
    Key(
        "freeze",
        "f",
        "f",
        "Freeze",
        "freeze the display; syncs go on",
        action="freeze",
        footer=5,
        footer_screens=frozenset({OVERVIEW}),
        back="Unfreeze",
    ),
    Key(
        "validate.deep",
        "V",
        "V",
        "Validate all",
        "run every check, the slow ones too: all vectors, redb's integrity check",
        action="validate_deep",
        footer=4,
        footer_screens=frozenset({VALIDATION}),
    ),
    Key(
        "pause",
        "P",
        "P",
        "Pause syncs",
        "pause or resume the scheduled syncs",
        action="pause",
        writes=True,
        back="Resume syncs",
    ),
    Key(
        "access",
        "W",
        "W",
        "Read only",
        "stop writing at once, or allow writes again",
        action="access",
        back="Allow writes",
    ),
    Key("slower", "minus", "-", "Slower", "redraw less often", action="refresh(1)"),
    Key("faster", "plus", "+", "Faster", "redraw more often", action="refresh(-1)"),
    Key("zoom", "z", "z", "Zoom", "show only the panel in focus, and back", action="zoom"),
    Key("log", "L", "L", "Log", "all log lines", action="log"),
    Key("theme", "T", "T", "Theme", "next theme: dark, light, colour-blind safe", action="theme"),
    Key(
        "help",
        "question_mark,f1",
        "?",
        "Help",
        "keys and labels of what is shown, and the glossary",
        action="help",
        footer=9,
    ),
    Key(
        "palette",
        "colon,ctrl+p",
        ":",
        "Palette",
        "every command by its name; in a dialog, the chosen command closes it first",
        action="command_palette",
    ),
    Key(
        "guide",
        "f3",
        "F3",
        "Hide the guide",
        "in the demo: hide the line that says the next step, or show it",
        action="guide",
        back="Show the guide",
    ),
    Key("quit", "q,ctrl+q", "q", "Quit", "quit; asks first while a run that you started goes on", action="leave"),
    Key("suspend", "ctrl+z", "^z", "Suspend", "to the shell; `fg` returns", action="suspend_process"),
    Key("copy", "ctrl+c", "^c", "Copy", "copy the selection; without one, say how to quit", bound=False),
    Key("peek", "p", "p", "Peek", "read a locked cache from a verified private copy", OVERVIEW, "peek"),
    Key("try", "t", "t", "Try again", "ask the primary again now, and sync", OVERVIEW, "try_now"),
    Key("demo", "f2", "F2", "Demo", "leave, and open the demo instead", OVERVIEW, "demo"),
    Key(
        "adopt",
        "A",
        "A",
        "Adopt…",
        "plan to accept another primary, which a guard refused",
        OVERVIEW,
        "adopt",
        level=Level.REPLACE,
        writes=True,
    ),
    Key("level", "l", "l", "Level", "choose the lines of Activity: all, warnings, failures", OVERVIEW, "screen.level"),
    Key(
        "orphans.mark",
        "space",
        "space",
        "Mark",
        "mark or unmark the row, or its group",
        ORPHANS,
        "screen.mark",
        1,
    ),
    Key("orphans.all", "a", "a", "All", "mark all that match the filter", ORPHANS, "screen.mark_all", 2),
    Key(
        "orphans.aside",
        "d",
        "d",
        "Quarantine…",
        "plan to take the marked rows out of the cache; u restores them",
        ORPHANS,
        "screen.set_aside",
        3,
        level=Level.REMOVE,
    ),
    Key(
        "orphans.reattach",
        "m",
        "m",
        "Re-attach…",
        "plan the sync that fetches the owner, where the primary has it",
        ORPHANS,
        "screen.reattach",
        4,
        level=Level.ADD,
    ),
    Key(
        "filter",
        "slash",
        "/",
        "Filter",
        "words, reason:…, domain:…, tag:…, norm:<0.5; ! inverts; esc clears",
        ORPHANS,
        "screen.filter",
        5,
    ),
    Key("orphans.clear", "C", "C", "Clear marks", "clear all marks", ORPHANS, "screen.clear_marks"),
    Key(
        "orphans.expect",
        "i",
        "i",
        "Expected…",
        "mark as expected, with a note; again to undo",
        ORPHANS,
        "screen.expect",
        level=Level.ADD,
    ),
    Key(
        "orphans.export",
        "e",
        "e",
        "Export…",
        "write what is marked, or shown, to a file: JSON lines",
        ORPHANS,
        "screen.export",
    ),
    Key("orphans.copy", "y", "y", "Copy", "copy the key of the row", ORPHANS, "screen.copy"),
    Key("orphans.group", "b", "b", "Group", "group by reason, owner, domain, tags, none", ORPHANS, "screen.group"),
    Key("orphans.sort", "o", "o", "Sort", "sort by the next column", ORPHANS, "screen.sort"),
    Key("orphans.reverse", "O", "O", "Reverse", "reverse the order", ORPHANS, "screen.reverse"),
    Key(
        "orphans.next",
        "n",
        "n",
        "Next match",
        "to the next match of the last filter",
        ORPHANS,
        "screen.match(1)",
    ),
    Key("orphans.previous", "N", "N", "Previous match", "to the match before", ORPHANS, "screen.match(-1)"),
    Key(
        "orphans.open",
        "enter",
        "enter",
        "Open",
        "all numbers of the vector; on a group: fold or unfold",
        ORPHANS,
        "screen.open",
        bound=False,
    ),
    Key("reload", "ctrl+r", "^r", "Scan again", "scan all embeddings again", ORPHANS, "screen.reload"),
    Key(
        "validation.open",
        "enter",
        "enter",
        "Open",
        "open the check, then one of its rows; esc goes back",
        VALIDATION,
        "screen.open",
        bound=False,
    ),
    Key("validation.copy", "y", "y", "Copy", "copy the check's name, the key or the field", VALIDATION, "screen.copy"),
    Key("validation.export", "e", "e", "Export", "the rows that differ, as JSON lines", VALIDATION, "screen.export", 6),
    Key(
        "validation.filter",
        "slash",
        "/",
        "Filter",
        "filter the rows: words, kind:missing, field:name",
        VALIDATION,
        "screen.filter",
        7,
    ),
    Key(
        "history.open",
        "enter",
        "enter",
        "Open",
        "the rows that the run changed, their fields before and after",
        HISTORY,
        "screen.open",
        1,
        bound=False,
    ),
    Key(
        "history.undo",
        "U",
        "U",
        "Undo…",
        "plan to undo this run",
        HISTORY,
        "screen.undo",
        2,
        level=Level.REMOVE,
    ),
    Key("history.document", "J", "J", "Document", "the whole run as JSON", HISTORY, "screen.document"),
    Key("history.copy", "y", "y", "Copy", "copy the id of the run", HISTORY, "screen.copy"),
    Key("history.export", "e", "e", "Export", "what is shown, as JSON lines in a new file", HISTORY, "screen.export"),
    Key("history.filter", "slash", "/", "Filter", "words, kind:word, exit:3; ! inverts", HISTORY, "screen.filter", 6),
    Key(
        "history.replay",
        "ctrl+o",
        "^o",
        "Replay…",
        "leave, and look at a recorded session",
        HISTORY,
        "screen.replay",
        5,
    ),
    Key("history.sort", "o", "o", "Sort", "sort by the next column", HISTORY, "screen.sort"),
    Key("history.reverse", "O", "O", "Reverse", "reverse the order", HISTORY, "screen.reverse"),
    Key(
        "config.open",
        "enter",
        "enter",
        "Edit",
        "edit the setting; checked before it is kept",
        CONFIG,
        "screen.open",
        1,
        bound=False,
    ),
    Key("config.reset", "backspace", "bksp", "Reset", "back to the value in effect", CONFIG, "screen.reset", 3),
    Key(
        "config.write",
        "w",
        "w",
        "Write…",
        "show what the file would say, then write it",
        CONFIG,
        "screen.write",
        4,
        level=Level.ADD,
    ),
    Key(
        "config.connect",
        "c",
        "c",
        "Connect",
        "test the connection, unsaved edits included",
        CONFIG,
        "screen.connect",
    ),
    Key("config.copy", "y", "y", "Copy", "copy the setting and its value", CONFIG, "screen.copy"),
    Key("config.export", "e", "e", "Export", "what is shown, as JSON lines in a new file", CONFIG, "screen.export"),
    Key("config.filter", "slash", "/", "Filter", "words, key:sync, from:env; ! inverts", CONFIG, "screen.filter", 6),
    Key("replay.play", "semicolon", ";", "Pause", "pause, or go on", REPLAY, "play", back="Go on"),
    Key("replay.step", "full_stop", ".", "Step", "forward to the next event", REPLAY, "step(1)"),
    Key("replay.back", "comma", ",", "Step back", "back to the event before", REPLAY, "step(-1)"),
    Key("replay.on", "right_square_bracket", "]", "Forward", "forward 10 s", REPLAY, "seek(10)"),
    Key("replay.rewind", "left_square_bracket", "[", "Back", "back 10 s", REPLAY, "seek(-10)"),
    Key("replay.leap", "right_curly_bracket", "}", "Jump", "forward a tenth of the recording", REPLAY, "leap(0.1)"),
    Key("replay.return", "left_curly_bracket", "{", "Jump back", "back a tenth", REPLAY, "leap(-0.1)"),
    Key("replay.faster", "greater_than_sign", ">", "Play faster", "faster", REPLAY, "speed(1)"),
    Key("replay.slower", "less_than_sign", "<", "Play slower", "slower", REPLAY, "speed(-1)"),
    Key("aside.mark", "space", "space", "Mark", "mark or unmark the row, or its group", QUARANTINE, "screen.mark", 1),
    Key("aside.all", "a", "a", "All", "mark all that match the filter", QUARANTINE, "screen.mark_all", 2),
    Key("aside.clear", "C", "C", "Clear marks", "clear the marks", QUARANTINE, "screen.clear_marks"),
    Key(
        "aside.open",
        "enter",
        "enter",
        "Restore…",
        "plan to restore the marked rows, this row or its group; on a run, to undo it",
        QUARANTINE,
        "screen.open",
        3,
        level=Level.ADD,
        bound=False,
    ),
    Key(
        "aside.retry",
        "t",
        "t",
        "Try again",
        "fetch rejected rows again and check them: the marked rows, this row or its group",
        QUARANTINE,
        "screen.retry",
        4,
    ),
    Key(
        "aside.purge",
        "D",
        "D",
        "Purge…",
        "plan to delete for good what was quarantined long ago",
        QUARANTINE,
        "screen.purge",
        5,
        level=Level.REPLACE,
    ),
    Key("aside.export", "e", "e", "Export", "write what matches to a file, JSON lines", QUARANTINE, "screen.export"),
    Key("aside.filter", "slash", "/", "Filter", "filter by words; esc clears", QUARANTINE, "screen.filter", 6),
    Key("list.move", "up,down,j,k", "↑ ↓ j k", "Move", "move", LISTS, bound=False),
    Key("list.page", "pageup,pagedown,ctrl+u,ctrl+d", "PgUp PgDn", "Page", "move by a page", LISTS, bound=False),
    Key("list.edge", "home,end,g,G", "g G", "First, last", "first and last row", LISTS, bound=False),
)


def footer(screen: str, table: tuple[Key, ...] = KEYS) -> tuple[Key, ...]:
    """Keys that the footer of a screen lists, in order."""
    listed = [
        key
        for key in table
        if key.footer and key.where in {EVERYWHERE, screen} and (not key.footer_screens or screen in key.footer_screens)
    ]
    if screen not in _OPERATE:
        listed = [
            key for key in listed if key.where == screen or key.id == "help" or (key.id == "sync" and screen != ORPHANS)
        ]
    return tuple(sorted(listed, key=lambda key: key.footer))


def listed(where: str, table: tuple[Key, ...] = KEYS) -> tuple[Key, ...]:
    """Keys of one place, in the order of its footer and then of the table."""
    return tuple(sorted((key for key in table if key.where == where), key=lambda key: key.footer or len(KEYS)))


def help_groups(screen: str, table: tuple[Key, ...] = KEYS) -> tuple[tuple[str, tuple[Key, ...]], ...]:
    """(heading, keys) for the help of one screen or dialog: those that work there."""
    on_screen = any(name == screen for name, _, _ in SCREENS)
    everywhere = tuple(key for key in table if key.where == EVERYWHERE and (on_screen or key.id in IN_DIALOGS))
    groups = (
        ("THIS SCREEN" if on_screen else "ITS KEYS", tuple(key for key in table if key.where == screen)),
        ("EVERYWHERE", everywhere),
        ("IN A REPLAY", tuple(key for key in table if key.where == REPLAY and on_screen)),
        ("IN LISTS", tuple(key for key in table if key.where == LISTS)),
    )
    return tuple(group for group in groups if group[1])
