"""The rules and the dashboard against the real Prometheus: `make alerts` installs it and runs this, as root.

`promtool` judges the rules with the waits that they are kept with. Then a real `watch` is scraped, each alert is made
to fire by what it is there for, and each query of the dashboard is asked.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from storage_sync import _native
from storage_sync.packaging.alerts import ALERTS, PREFIX, rules
from storage_sync.packaging.dashboard import dashboard
from tests.independent.redb_reader import RedbFile
from tests.support import hrana, network, processes, stores
from tests.support.command import Tool
from tests.support.prometheus import Prometheus, promtool
from tests.support.relay import Relay
from tests.support.sqld import Sqld, free_port
from tests.support.watching import Watch, watching, well, wrote

pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(900)]
FOLDER = Path(__file__).resolve().parents[2] / "packaging"
ROOM = 8 << 20
"""Bytes of the file system that the cache lies on."""
LABELS = 'instance="host", job="storage-sync"'

CAUSES: dict[str, tuple[tuple[str, str], ...]] = {
    "Gone": (("build_info", "1x3 stale"),),
    "Stale": (("last_success_timestamp_seconds", "0x60"), ("interval_seconds", "300x60")),
    "NeverSucceeded": (("build_info", "1x60"),),
    "NotInSync": (("in_sync", "0x60"),),
    "PrimaryDown": (("primary_up", "0x60"),),
    "PrimaryRefuses": (("last_exit_code", "4x60"),),
    "GuardStopped": (("last_exit_code", "9x60"),),
    "LocalTrouble": (("last_exit_code", "8x60"),),
    "CacheDamaged": (('cache_state{state="CORRUPT"}', "1x60"),),
    "OtherVersion": (('cache_state{state="FORMAT_NEW"}', "1x60"),),
    "WentBack": (("rollbacks_detected_total", "0 0 1x60"),),
    "BitRot": (("bitrot_keys_total", "0 0 3x60"),),
    "RejectedRows": (("quarantined_rows", "2x60"),),
    "RowsWait": (
        ("waiting_rows", "5x60"),
        ("waiting_since_timestamp_seconds", "0x60"),
        ("wait_notice_seconds", "600x60"),
    ),
    "DiskLow": (("disk_free_bytes", "100x60"), ("cache_file_bytes", "90x60")),
}
WELL: tuple[tuple[str, str], ...] = (
    ("build_info", "1x60"),
    ("last_success_timestamp_seconds", "0+60x60"),
    ("interval_seconds", "300x60"),
    ("in_sync", "1x60"),
    ("primary_up", "1x60"),
    ("last_exit_code", "0x60"),
    ('cache_state{state="CORRUPT"}', "0x60"),
    ('cache_state{state="CLEAN"}', "1x60"),
    ("rollbacks_detected_total", "3x60"),
    ("bitrot_keys_total", "3x60"),
    ("quarantined_rows", "0x60"),
    ("waiting_rows", "0x60"),
    ("wait_notice_seconds", "600x60"),
    ("disk_free_bytes", "1000x60"),
    ("cache_file_bytes", "90x60"),
)
"""An hour in which nothing is wrong."""


def labelled(name: str) -> str:
    metric, _, rest = name.partition("{")
    return f"storage_sync_{metric}{{{LABELS}{', ' + rest if rest else '}'}"


def unit_test(folder: Path, series: Sequence[tuple[str, str]], asked: Sequence[tuple[int, str, int]]) -> None:
    """`asked`: second, expression, and how many series it must give."""
    shutil.copyfile(FOLDER / "storage-sync.rules.yml", folder / "rules.yml")
    values = [{"series": labelled(name), "values": value} for name, value in series]
    expected = [
        {
            "expr": f"count({expression}) or vector(0)",
            "eval_time": f"{second}s",
            "exp_samples": [{"labels": "{}", "value": count}],
        }
        for second, expression, count in asked
    ]
    test = {"interval": "1m", "input_series": values, "promql_expr_test": expected}
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "30s", "tests": [test]}
    (folder / "test.json").write_text(json.dumps(document))
    promtool("test", "rules", "test.json", folder=folder)


def firing(name: str) -> str:
    return f'ALERTS{{alertname="{PREFIX}{name}", alertstate="firing"}}'


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    said_of_it = promtool(
        "check", "rules", "--lint=all", "--lint-fatal", FOLDER / "storage-sync.rules.yml", folder=tmp_path
    )
    assert f"{len(ALERTS)} rules found" in said_of_it


def test_each_alert_has_a_cause_here() -> None:
    assert {alert.name.removeprefix(PREFIX) for alert in ALERTS} == CAUSES.keys()


@pytest.mark.parametrize("name", CAUSES)
def test_an_alert_waits_as_long_as_it_says_and_fires(tmp_path: Path, name: str) -> None:
    (alert,) = [alert for alert in ALERTS if alert.name == PREFIX + name]
    # what must be seen first: a second sample, the end of a series, three intervals
    onset = {"Gone": 240, "Stale": 960, "RowsWait": 660, "WentBack": 120, "BitRot": 120}.get(name, 0)
    before = [(onset + alert.hold_s - 60, firing(name), 0)] if alert.hold_s else []
    unit_test(tmp_path, CAUSES[name], [*before, (onset + alert.hold_s + 60, firing(name), 1)])


def test_nothing_fires_while_all_is_well(tmp_path: Path) -> None:
    unit_test(tmp_path, WELL, [(3000, 'ALERTS{alertstate="firing"}', 0)])


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own, of 8 MiB."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "storage-sync-test", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@dataclass
class Host:
    """One operator's machine, what it asks, and who watches it."""

    server: Sqld
    relay: Relay
    tool: Tool
    config: Path
    watch: Watch
    monitor: Prometheus
    number: int = 0

    def sql(self, *statements: str) -> None:
        hrana.execute(self.server.url, statements)

    def set(self, *, repair: bool = True, wait: bool = True) -> None:
        """Change settings while it runs, and wait until they are in force: each time another wait_notice_s tells."""
        self.number += 1
        notice = (1800 if wait else 1) + self.number / 100
        self.config.write_text(f"auto_repair = {str(repair).lower()}\nwait_notice_s = {notice}\n")
        self.watch.process.send_signal(signal.SIGHUP)
        asked = f"storage_sync_wait_notice_seconds == {notice}"
        self.monitor.until(lambda: bool(self.monitor.query(asked)), "the settings are in force")

    def change(self) -> None:
        self.sql("UPDATE episodes SET task_description = hex(randomblob(8)) WHERE rowid % 3 = 0")

    def good_run(self) -> None:
        self.watch.until(
            lambda line: line["area"] == "sync" and "exit 0" in line["message"], after=len(self.watch.lines)
        )


def primary_away(host: Host) -> None:
    host.server.stop()
    host.monitor.fires("StorageSyncPrimaryDown", "StorageSyncStale")
    host.server.start()
    host.monitor.quiet("StorageSyncPrimaryDown", "StorageSyncStale")


def token_refused(host: Host) -> None:
    refuse = network.answer(401, '{"error":"The JWT has expired"}')
    host.relay.play(lambda number, path: refuse)
    host.monitor.fires("StorageSyncPrimaryRefuses", "StorageSyncNotInSync")
    host.relay.play()
    host.monitor.quiet("StorageSyncPrimaryRefuses", "StorageSyncNotInSync")


def damage(host: Host) -> None:
    host.set(repair=False)
    with host.tool.cache.open("r+b") as file:
        file.truncate(host.tool.cache.stat().st_size // 2)
    host.monitor.fires("StorageSyncCacheDamaged")
    host.set()
    host.monitor.quiet("StorageSyncCacheDamaged")


def other_version(host: Host) -> None:
    host.set(repair=False)
    newer = host.tool.folder / "newer.redb"
    shutil.copyfile(host.tool.cache, newer)
    with newer.open("r+b") as file:
        for slot in (64, 192):
            file.seek(slot)
            file.write(bytes([4]))
    kept = host.tool.folder / "kept.redb"
    shutil.copyfile(host.tool.cache, kept)
    host.tool.cache.write_bytes(newer.read_bytes())
    host.monitor.fires("StorageSyncOtherVersion")
    host.tool.cache.write_bytes(kept.read_bytes())
    host.set()
    host.monitor.quiet("StorageSyncOtherVersion")


def went_back(host: Host) -> None:
    kept = host.tool.cache.read_bytes()
    host.change()
    host.watch.until(wrote("changed"), after=len(host.watch.lines))
    host.good_run()
    host.tool.cache.write_bytes(kept)
    host.monitor.fires("StorageSyncWentBack")
    host.good_run()


def bit_rot(host: Host) -> None:
    key, value = next(iter(RedbFile(host.tool.cache).rows("heuristics")))
    rotten = bytes([*bytes(value)[:-1], bytes(value)[-1] ^ 0x10])
    digest = _native.digest("blake3", bytes(value))
    _native.edit(str(host.tool.cache), [("heuristics", bytes(key).decode(), digest, rotten)], {}, None, 0)
    host.monitor.fires("StorageSyncBitRot")
    host.good_run()


def rejected(host: Host) -> None:
    broken = "SELECT episode_id FROM episodes ORDER BY 1 LIMIT 1"
    host.sql(f"CREATE TABLE kept AS SELECT * FROM episodes WHERE episode_id IN ({broken})")
    host.sql(f"UPDATE episodes SET steps = '{{broken' WHERE episode_id IN ({broken})")
    host.monitor.fires("StorageSyncRejectedRows")
    host.sql("UPDATE episodes SET steps = (SELECT steps FROM kept) WHERE episode_id IN (SELECT episode_id FROM kept)")
    host.monitor.quiet("StorageSyncRejectedRows")


def held(host: Host) -> None:
    host.set(wait=False)
    with processes.running(processes.HOLD_REDB, host.tool.cache, "write"):
        host.change()
        host.monitor.fires("StorageSyncRowsWait")
    host.monitor.quiet("StorageSyncRowsWait")


def disk_full(host: Host) -> None:
    filler = host.tool.cache.parent / "filler"
    with filler.open("wb") as file:
        free = shutil.disk_usage(host.tool.cache.parent).free
        file.write(bytes(free))
    host.monitor.fires("StorageSyncDiskLow")
    host.sql("UPDATE episodes SET task_description = hex(randomblob(9000))")
    host.monitor.fires("StorageSyncLocalTrouble")
    filler.unlink()
    host.monitor.quiet("StorageSyncDiskLow", "StorageSyncLocalTrouble")


def dashboard_answers(host: Host) -> None:
    """Each query, as Grafana asks it."""
    panels = json.loads(dashboard())["panels"]
    for panel in panels:
        for target in panel["targets"]:
            asked = target["expr"].replace("$instance", ".*").replace("$__rate_interval", "1m")
            assert host.monitor.query(asked), f"{panel['title']}: {asked}"


def primary_emptied(host: Host) -> None:
    host.sql("DELETE FROM episodes")
    host.monitor.fires("StorageSyncGuardStopped")


def ended(host: Host) -> None:
    host.watch.process.kill()
    host.monitor.fires("StorageSyncGone")


CASES = (
    primary_away,
    token_refused,
    damage,
    other_version,
    went_back,
    bit_rot,
    rejected,
    held,
    disk_full,
    dashboard_answers,
    primary_emptied,
    ended,
)


def test_each_alert_fires_by_its_real_cause(tmp_path: Path) -> None:
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(tmp_path / "disk"))
        server = stack.enter_context(Sqld(stores.primary("small", tmp_path / "p")))
        relay = stack.enter_context(Relay(server.port))
        tool = Tool.at(tmp_path / "t", relay.url, disk / "cache.redb", STORAGE_SYNC_POLL_S="0.2")
        config = tmp_path / "config.toml"
        config.write_text("auto_repair = true\n")
        address = f"127.0.0.1:{free_port()}"
        server.stop()
        watch = stack.enter_context(watching(tool, "--interval", "1", "--config", str(config), "--listen", address))
        monitor = stack.enter_context(Prometheus(tmp_path / "prometheus", rules(hold=False), address))
        monitor.fires("StorageSyncNeverSucceeded", "StorageSyncNotInSync")
        server.start()
        watch.until(well)
        monitor.quiet("StorageSyncNeverSucceeded", "StorageSyncNotInSync")
        host = Host(server, relay, tool, config, watch, monitor)
        for case in CASES:
            case(host)
