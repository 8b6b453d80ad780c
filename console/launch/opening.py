"""Opening the console, and what a person left it for."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from msgspec import Struct

from console.app.app import Console
from console.app.ends import DEMO_ASKED, LEAVE_S, REPLAY_ASKED, SET_UP
from console.flows.first_run import Setup
from console.launch.start import is_configured, make_bridge, place_of, setup_form, ui_settings
from storage_sync.values.errors import InternalError

if TYPE_CHECKING:
    from console.flows.lessons import Troubles
    from console.link.bridge import Tap
    from storage_sync.config.load import Loaded
    from storage_sync.config.settings import Settings
    from storage_sync.primary.source import Source


class Leaving(Struct, frozen=True):
    """How a console was left: its exit code, or the command line that is to be opened in its place."""

    exit_code: int
    opens: tuple[str, ...] = ()


def run(
    settings: Settings,
    plain: bool = False,
    *,
    loaded: Loaded | None = None,
    tap: Tap | None = None,
    trouble: Troubles | None = None,
    source: Source | None = None,
) -> Leaving:
    """Open the console on the settings and stay until a person leaves.

    `loaded` says where each setting came from, and so which token is meant. `plain`: lines of text, no panels.
    `tap`: a recorder of the session. `trouble`, `source`: of the demo, makes something go wrong, reads its primary.
    Without a primary or a cache a form asks for them, and then it starts.
    What no part of the screen expected ends it and is raised here.
    """
    bridge = make_bridge(settings, loaded, os.environ, tap, source=source)
    if plain:
        from console.launch.plain import speak

        return Leaving(speak(bridge, sys.stdout))
    place = place_of(loaded, os.environ)
    setup = None if is_configured(settings) else Setup(setup_form(settings), str(place), place.exists())
    app = Console(bridge, ui_settings(settings), owns_process=True, setup=setup, trouble=trouble)
    result = app.run()
    bridge.stop(LEAVE_S)
    if result == SET_UP:
        from storage_sync.config.load import load_settings

        fresh = (
            loaded.again(os.environ)
            if loaded is not None
            else load_settings(None, None, {}, os.environ, required=False)
        )
        return run(fresh.settings, loaded=fresh, tap=tap)
    return leaving(app, result)


def leaving(app: Console, result: int | None) -> Leaving:
    """What a person left the console with. An unexpected error is raised again."""
    if app.failure is not None:
        raise app.failure
    if result == DEMO_ASKED:
        return Leaving(0, ("demo",))
    if result == REPLAY_ASKED:
        return Leaving(0, ("replay", "--", app.replay_file))
    if result is None and app.return_code:
        raise InternalError(f"the screen ended by itself with code {app.return_code}")
    return Leaving(result or 0)
