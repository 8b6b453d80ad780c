"""The configuration changed from the console: previewed, written with its comments, in effect at once."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from console.launch.configuration import configuration_of
from storage_sync.config.edit import edited, section_in_effect
from storage_sync.config.load import load_settings
from storage_sync.demo.demo import Demo
from storage_sync.service.commands import Command, PreviewSettings, TryPrimary, WriteSettings
from storage_sync.service.service import SyncService
from storage_sync.values.answers import PrimaryTried, SettingEdit, SettingsPreview, SettingsWritten
from storage_sync.values.events import Answer, ConfigChanged, Refused
from tests.service.test_service import NOW, Watcher, serving

SECRET = "T0P/S3CRET"


def write(demo: Demo, more: str = "") -> Path:
    file = demo.primary.parent / "mine.toml"
    text = (
        "# mine, keep it\nbatch_size = 50 # small\non_start = false\ninterval_s = 3600\n"
        f"state_dir = '{demo.state_dir}'\n"
        f"\n[primary] # where\nurl = 'file:{demo.primary}'\n\n[cache]\npath = '{demo.cache}'\n"
        f"\n[notify]\nurl = 'https://hooks.example.com/{SECRET}'\nheartbeat_url = 'https://hc.example.com/{SECRET}'\n{more}"
    )
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    return file


@asynccontextmanager
async def running(
    file: Path | None, profile: str | None = None, env: dict[str, str] | None = None
) -> AsyncIterator[tuple[SyncService, Watcher]]:
    loaded = load_settings(file, profile, {}, env or {}, required=file is not None)
    watcher = Watcher()
    configuration = configuration_of(loaded.settings, loaded, env or {})
    service = SyncService(configuration, publish=watcher.publish, emit=watcher.emit)
    async with serving(service):
        yield service, watcher


async def answered(service: SyncService, watcher: Watcher, command: Command[object]) -> object:
    answer = await watcher.answer(watcher.ask(service, command))
    return answer.value if isinstance(answer, Answer) else answer


async def test_a_change_is_previewed_written_and_in_effect(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=2, now=int(NOW))
    file = write(demo)
    before = file.read_text()
    edits = (SettingEdit("batch_size", "75"), SettingEdit("staleness_s", "120"))
    async with running(file) as (service, watcher):
        preview = await answered(service, watcher, PreviewSettings(edits))
        assert isinstance(preview, SettingsPreview)
        assert file.read_text() == before
        assert "-batch_size = 50 # small" in preview.diff
        assert "+batch_size = 75 # small" in preview.diff
        assert "+staleness_s = 120" in preview.diff
        assert preview.notes == ("batch_size applies: next sync", "staleness_s applies: now")

        written = await answered(service, watcher, WriteSettings(edits, preview.base))
        assert written == SettingsWritten(str(file), ("batch_size", "staleness_s"))
        changed = await watcher.heard(lambda event: isinstance(event, ConfigChanged))
        assert isinstance(changed, ConfigChanged)
        assert set(changed.keys) == {"batch_size", "staleness_s"}
        shown = await watcher.until(lambda snapshot: snapshot.freshness.max_age_s == 120)
        row = next(setting for setting in shown.config.settings if setting.key == "batch_size")
        assert row.value == "75"
    text = file.read_text()
    assert "# mine, keep it\nbatch_size = 75 # small\n" in text
    assert "[primary] # where" in text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (SettingEdit("batch_size", "0"), "an integer from 1"),
        (SettingEdit("batch_sise", "5"), "did you mean batch_size"),
        (SettingEdit("primary.url", f"https://a?authToken={SECRET}"), "holds a token"),
    ],
)
async def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, edit: SettingEdit, said: str
) -> None:
    demo = Demo.create(tmp_path, episodes=2, now=int(NOW))
    file = write(demo)
    before = file.read_bytes()
    async with running(file) as (service, watcher):
        for command in (PreviewSettings((edit,)), WriteSettings((edit,), "")):
            refused = await answered(service, watcher, command)
            assert isinstance(refused, Refused)
            assert said in refused.reason
            assert SECRET not in refused.reason
    assert file.read_bytes() == before


async def test_a_file_that_changed_since_the_preview_is_not_written(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=2, now=int(NOW))
    file = write(demo)
    edits = (SettingEdit("batch_size", "75"),)
    async with running(file) as (service, watcher):
        preview = await answered(service, watcher, PreviewSettings(edits))
        assert isinstance(preview, SettingsPreview)
        text = file.read_text().replace("small", "tiny")
        file.write_text(text)
        refused = await answered(service, watcher, WriteSettings(edits, preview.base))
        assert isinstance(refused, Refused)
        assert "changed meanwhile" in refused.reason
    assert file.read_text() == text


async def test_secrets_of_the_file_are_not_shown(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=2, now=int(NOW))
    file = write(demo)
    async with running(file) as (service, watcher):
        edits = (SettingEdit("notify.command", "true"), SettingEdit("cache.lock_ok", "true"))
        preview = await answered(service, watcher, PreviewSettings(edits))
        assert isinstance(preview, SettingsPreview)
        assert any("hooks.example.com" in line for line in preview.diff)
        assert not any(SECRET in line for line in preview.diff)


async def test_what_goes_before_the_file_is_said(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=2, now=int(NOW))
    env = {"STORAGE_SYNC_BATCH_SIZE": "7"}
    async with running(write(demo), env=env) as (service, watcher):
        preview = await answered(service, watcher, PreviewSettings((SettingEdit("batch_size", "75"),)))
    assert isinstance(preview, SettingsPreview)
    assert preview.notes == ("batch_size stays as it is: env STORAGE_SYNC_BATCH_SIZE takes precedence over the file",)


async def test_a_profile_is_changed_for_itself_alone(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=2, now=int(NOW))
    file = write(demo, "\n[profiles.night]\nstaleness_s = 60\n")
    values = {"staleness_s": "61", "batch_size": "51", "poll_s": "9"}
    text = edited(file, values, section_in_effect("night"))
    file.write_text(text)
    night, day = load_settings(file, "night", {}, {}).settings, load_settings(file, None, {}, {}).settings
    assert (night.staleness_s, night.batch_size, night.poll_s) == (61, 51, 9)
    assert (day.staleness_s, day.batch_size, day.poll_s) == (2400, 51, 5)


async def test_the_connection_is_tried_with_what_is_not_written_yet(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=2, now=int(NOW))
    async with running(write(demo)) as (service, watcher):
        tried = await answered(service, watcher, TryPrimary())
        assert isinstance(tried, PrimaryTried)
        assert tried.ping_ms > 0
        edits = (SettingEdit("primary.url", f"file:{tmp_path / 'none.db'}"), SettingEdit("batch_size", "1"))
        refused = await answered(service, watcher, TryPrimary(edits))
        assert isinstance(refused, Refused)
        assert "none.db" in refused.reason


async def test_nothing_edited_and_no_file(tmp_path: Path) -> None:
    demo = Demo.create(tmp_path, episodes=2, now=int(NOW))
    file = write(demo)
    async with running(file) as (service, watcher):
        refused = await answered(service, watcher, PreviewSettings(()))
        assert isinstance(refused, Refused)
    loaded = load_settings(file, None, {}, {})
    file.unlink()
    watcher = Watcher()
    service = SyncService(configuration_of(loaded.settings, None, {}), publish=watcher.publish, emit=watcher.emit)
    async with serving(service):
        refused = await answered(service, watcher, PreviewSettings((SettingEdit("batch_size", "1"),)))
    assert isinstance(refused, Refused)
    assert "config init" in refused.hint
