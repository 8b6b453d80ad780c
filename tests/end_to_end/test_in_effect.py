"""A program that runs and a file that was edited meanwhile: commands and console say which of them is in effect."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.support import stores
from tests.support.command import Tool
from tests.support.sqld import Sqld
from tests.support.terminal import Terminal


def test_a_setting_that_waits_for_a_restart_is_told_by_config_show_doctor_and_the_console(tmp_path: Path) -> None:
    with Sqld(stores.primary("small", tmp_path)) as server:
        tool = Tool.at(tmp_path / "tool", server.url)
        tool.sync()
        file = tmp_path / "config.toml"
        file.write_text("on_start = false\n[primary]\ntimeout_s = 20\n")
        named = ("--config", str(file))
        with Terminal(tool.line("tui", *named), tool.variables, columns=120, lines=40) as terminal:
            terminal.wait_for("connected")
            assert warned(tool, "config", "show", *named) == []
            file.write_text("on_start = false\n[primary]\ntimeout_s = 25\n")
            os.kill(terminal.pid, signal.SIGHUP)
            terminal.press("5")
            terminal.wait_for("1 needs a restart")
            terminal.wait_for("now 25")
            for command in (("config", "show"), ("doctor",)):
                (said,) = warned(tool, *command, *named)
                assert f"process {terminal.pid} has 20 in effect, the file says 25" in said
                assert "starts again" in said
            terminal.press("q")
            assert terminal.end() == 0
        assert warned(tool, "config", "show", *named) == []


def warned(tool: Tool, *command: str) -> list[str]:
    return [one for one in tool.json(*command).document.get("warnings", []) if "in effect" in one]
