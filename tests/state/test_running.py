"""What a running program has in effect, and where that is not what its file says."""

from __future__ import annotations

import json
import os
from pathlib import Path

from msgspec.structs import replace

from storage_sync.state.running import Differs, differing, forget, note, running
from storage_sync.values.snapshot import ConfigView, Setting

FILE = Path("/etc/storage-sync.toml")
SETTINGS = (
    Setting("interval_s", "900", "file, line 3", "now"),
    Setting("cache.path", "/var/a.redb", "default", "restart"),
    Setting("poll_s", "1", "env STORAGE_SYNC_POLL_S", "now"),
)
VIEW = ConfigView(SETTINGS, str(FILE))


def test_only_what_the_file_says_otherwise_is_told(tmp_path: Path) -> None:
    note(tmp_path, VIEW)
    programs = running(tmp_path)
    assert [one.pid for one in programs] == [os.getpid()]
    assert differing(programs, FILE, SETTINGS) == ()
    edited = (
        replace(SETTINGS[0], value="60"),
        replace(SETTINGS[1], value="/var/b.redb", origin="file, line 4"),
        replace(SETTINGS[2], value="5", origin="file, line 5"),
    )
    found = differing(programs, FILE, edited)
    assert found == (
        Differs(os.getpid(), "interval_s", "900", "60", "now"),
        Differs(os.getpid(), "cache.path", "/var/a.redb", "/var/b.redb", "restart"),
    ), "what one process was told by its environment is not the file's"
    assert f"kill -HUP {os.getpid()}" in str(found[0])
    assert "900 in effect, the file says 60" in str(found[0])
    assert "starts again" in str(found[1])
    assert differing(programs, Path("/etc/other.toml"), edited) == ()


def test_a_note_ends_with_its_process_and_one_that_a_killed_process_left_is_passed_over(tmp_path: Path) -> None:
    note(tmp_path, VIEW)
    path = tmp_path / f"running-{os.getpid()}.json"
    assert path.stat().st_mode & 0o777 == 0o600
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "started": told["started"] - 100}))
    assert running(tmp_path) == (), "another process has the number now"
    (tmp_path / "running-1.json").write_text("[]")
    (tmp_path / "running-2.json").write_text("{broken")
    assert running(tmp_path) == ()
    note(tmp_path, VIEW)
    assert len(running(tmp_path)) == 1
    forget(tmp_path)
    forget(tmp_path)
    assert running(tmp_path) == ()
    assert running(tmp_path / "nowhere") == ()
