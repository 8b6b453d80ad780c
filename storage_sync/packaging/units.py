"""Units for systemd, the timer, the line for cron and the drop-in for do-memory's own unit, as text."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import Struct

from storage_sync.values.errors import UsageError

MADE_BY = "# Made by `storage-sync service`; change it by `systemctl edit`, not here."
"""The first line of what we may replace and remove."""
STATE = "storage-sync"
"""Name of the state folder, below /var/lib."""
WATCH, ONCE, TIMER, CRON = (
    "storage-sync.service",
    "storage-sync-once.service",
    "storage-sync.timer",
    "storage-sync.cron",
)
_HOMES = ("/home", "/root", "/run/user")


class Places(Struct, frozen=True):
    """What a unit names: absolute paths, and the user that owns the cache."""

    program: Path = Path("/usr/local/bin/storage-sync")
    config: Path = Path("/etc/storage-sync/config.toml")
    cache_folder: Path = Path("/var/lib/do-memory")
    user: str = "do-memory"

    @property
    def state(self) -> Path:
        return Path("/var/lib") / STATE


def _sandbox(places: Places) -> str:
    homes = "ProtectHome=yes"
    if any(places.cache_folder.is_relative_to(home) for home in _HOMES):
        homes = f"# Of all home folders it sees only this one.\nProtectHome=tmpfs\nBindPaths={places.cache_folder}"
    return f"""\
# The folder of the cache: the file, its lock and its staging file lie side by side.
ReadWritePaths={places.cache_folder}
StateDirectory={STATE}
StateDirectoryMode=0700
UMask=0077
ProtectSystem=strict
{homes}
LimitCORE=0
# A run takes about 100 MB of memory, a very large one about 300. One that takes more ends this service and no other.
MemoryMax=1G
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
"""


def watch_unit(places: Places) -> str:
    """The long-running service."""
    return f"""\
{MADE_BY}
[Unit]
Description=Keep do-memory's redb cache equal to its Turso primary
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStart={places.program} watch --config {places.config} --state-dir %S/{STATE} --log-format json
ExecReload=/bin/kill -HUP $MAINPID
User={places.user}
WatchdogSec=60
TimeoutStartSec=60
# It stops within 2 s; a commit that has begun is finished.
TimeoutStopSec=15
Restart=on-failure
RestartSec=10
# 11: another run holds the lease; 143: stopped by SIGTERM, gracefully.
SuccessExitStatus=0 11 143
# Settings, a primary that refuses us, a guard, another version: a restart does not help.
RestartPreventExitStatus=2 4 9 12

{_sandbox(places)}
[Install]
WantedBy=multi-user.target
"""


def once_unit(places: Places) -> str:
    """One sync, for the timer."""
    return f"""\
{MADE_BY}
[Unit]
Description=Bring do-memory's redb cache to the state of its Turso primary, once
After=network-online.target
Wants=network-online.target
# storage-sync.service does the same.
Conflicts=storage-sync.service

[Service]
Type=oneshot
ExecStart={places.program} sync --follow --quiet --config {places.config} --state-dir %S/{STATE} --log-format json
User={places.user}
TimeoutStartSec=15min
# 11: another run holds the lease.
SuccessExitStatus=0 11

{_sandbox(places)}"""


def timer_unit() -> str:
    """Every five minutes, each host at another second."""
    return f"""\
{MADE_BY}
[Unit]
Description=Sync do-memory's redb cache every five minutes

[Timer]
Unit={ONCE}
OnCalendar=*:0/5
RandomizedDelaySec=30
Persistent=true

[Install]
WantedBy=timers.target
"""


def cron_line(places: Places) -> str:
    """A file for /etc/cron.d."""
    run = f"{places.program} sync --follow --quiet --config {places.config}"
    return f"""\
# For /etc/cron.d: every five minutes, with mail only when a person should look. Exit 11 (another run) is silent.
SHELL=/bin/sh
*/5 * * * * {places.user} out=$({run} 2>&1) || [ $? -eq 11 ] || echo "$out"
"""


def drop_in(places: Places, command: str) -> str:
    """For do-memory's own unit: its command, started through `exec`. `command`: as its ExecStart has it."""
    prefix, program = re.fullmatch(r"([-:+!|@]*)(.*)", command, re.DOTALL).groups()  # type: ignore[union-attr]
    if "@" in prefix:
        raise UsageError(
            "ExecStart=@ gives the program another name; exec cannot do that", hint="write the drop-in by hand"
        )
    return f"""\
{MADE_BY}
[Service]
ExecStart=
ExecStart={prefix}{places.program} exec --config {places.config} --state-dir %S/{STATE} -- {program}
# exec must write here, whatever else that unit may not write.
ReadWritePaths=-{places.cache_folder} -{places.state}
"""


def setting_of(unit: str, section: str, name: str) -> str:
    """The last value of a setting in a unit's text, lines that go on joined; '' where there is none."""
    found, inside = "", False
    for line in re.sub(r"\\\n\s*", " ", unit).splitlines():
        text = line.strip()
        if text.startswith("["):
            inside = text == f"[{section}]"
        elif inside and text.partition("=")[0].strip() == name:
            found = text.partition("=")[2].strip()
    return found
