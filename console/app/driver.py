"""Textual's driver of a terminal, where other bytes come in than it knows, and where the end may be sudden."""

from __future__ import annotations

import os
import re
import selectors
from codecs import getincrementaldecoder
from collections.abc import Iterator

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Resize
from textual.message import Message

from storage_sync import _native

LEAVE = (
    "\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[?2048l\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"
    "\x1b[23;0t\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l\x1b[0m"
)
"""All that the driver has switched on, switched off."""
KEEP_TITLE, OLD_TITLE = "\x1b[22;0t", "\x1b[23;0t"
"""Put the title of the window on the terminal's stack, and take it from there."""
_READ = 4096
_OLD_MOUSE = re.compile(rb"\x1b\[M[\s\S]{3}")
_OLD_MOUSE_BEGUN = re.compile(rb"\x1b\[M[\s\S]{0,2}\Z")


class Keyboard:
    """From the bytes of a terminal to events. What cannot be read is left out; nothing in it is an error."""

    def __init__(self) -> None:
        self._parser = XTermParser()
        self._decode = getincrementaldecoder("utf-8")(errors="ignore").decode
        self._held = b""
        """The beginning of a mouse report of the oldest kind: its numbers are bytes, not text."""

    def heard(self, data: bytes) -> Iterator[Message]:
        data = _OLD_MOUSE.sub(b"", self._held + data)
        begun = _OLD_MOUSE_BEGUN.search(data)
        self._held = begun[0] if begun is not None else b""
        for sign in self._decode(data[: begun.start()] if begun is not None else data):
            yield from self._taken(sign)

    def waited(self) -> Iterator[Message]:
        """Time has passed: a lone escape is the key."""
        try:
            yield from self._parser.tick()
        except Exception:  # noqa: BLE001 - a sequence that Textual cannot read breaks its parser, whatever it raises
            self._begin_again()

    def _taken(self, sign: str) -> Iterator[Message]:
        parser = self._parser
        sizes = parser.terminal_size, parser.terminal_pixel_size
        try:
            for message in parser.feed(sign):
                if isinstance(message, Resize) and not (message.size and message.pixel_size):
                    # nothing can be laid out on it, nor a mouse be found
                    parser.terminal_size, parser.terminal_pixel_size = sizes
                else:
                    yield message
        except Exception:  # noqa: BLE001 - as above; the sequence is over, and what it meant nobody knows
            self._begin_again()

    def _begin_again(self) -> None:
        old, self._parser = self._parser, XTermParser()
        self._parser.mouse_pixels = old.mouse_pixels
        self._parser.terminal_size = old.terminal_size
        self._parser.terminal_pixel_size = old.terminal_pixel_size


class SteadyDriver(LinuxDriver):
    """As `LinuxDriver`; input never ends it, and a deadly signal leaves the terminal as it was."""

    def start_application_mode(self) -> None:
        if os.isatty(self.fileno) and self._file is not None:
            _native.guard_terminal(self.fileno, self._file.fileno(), LEAVE.encode())
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual's own
        self.write(KEEP_TITLE)

    def stop_application_mode(self) -> None:
        self.write(OLD_TITLE)
        super().stop_application_mode()

    def run_input_thread(self) -> None:
        keyboard = Keyboard()
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(0.1):
                    for message in keyboard.heard(os.read(self.fileno, _READ)):
                        self.process_message(message)
                for message in keyboard.waited():
                    self.process_message(message)

    def _run_input_thread(self) -> None:
        """What nevertheless ends the thread ends the screen, as every unexpected error does."""
        try:
            self.run_input_thread()
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told at the end
            self._app.call_later(self._app._handle_exception, error)
