"""What systemd says of the units, and what they start, as the service's user: `make units` installs systemd, as root.

No container here runs systemd itself. A mount namespace stands in for its sandbox: everything is read-only but the
folders that the unit names, and the command is that of the installed unit, with the unit's user and no capability.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from console.cli.commands import storage_sync
from console.cli.manual import page
from storage_sync.packaging.units import Places, once_unit, timer_unit, watch_unit
from tests.independent.projection_check import check
from tests.support import stores
from tests.support.sqld import Auth, Sqld

pytestmark = [pytest.mark.systemd, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]
EXPOSED_AT_MOST = 2.0
"""What `systemd-analyze security` may count against a unit, of 10."""
USER = "nobody"

PREPARE = r"""
set -eu
mount --make-rprivate /
mkdir -p /opt; mount -t tmpfs -o mode=755 tmpfs /opt
mkdir /opt/python /opt/site /opt/tree /opt/storage-sync /opt/storage-sync/bin /opt/etc /opt/var /opt/result
mount --bind {python} /opt/python; mount --bind {site} /opt/site; mount --bind {tree} /opt/tree
printf '%s\n' '#!/opt/python/bin/{interpreter}' 'import sys' 'sys.path[:0] = ["/opt/tree", "/opt/site"]' \
    'from console.cli import main' 'sys.exit(main())' > /opt/storage-sync/bin/storage-sync
chmod 755 /opt/storage-sync/bin/storage-sync
cp -a /etc/. /opt/etc/; mount --bind /opt/etc /etc
mount --bind {result} /opt/result
mount -t tmpfs -o mode=755 tmpfs /var/lib
export PYTHONDONTWRITEBYTECODE=1 PATH=/opt/storage-sync/bin:/usr/bin:/bin
mkdir -p /etc/systemd/system
printf '[Service]\nUser={user}\nExecStart=/bin/sh -c "id -u"\n' > /etc/systemd/system/do-memory.service
storage-sync service install --primary {primary} --cache /var/lib/do-memory/cache.redb --for do-memory.service {words}
cat {token} > /etc/storage-sync/token
"""

SANDBOX = r"""
trap 'cat /tmp/storage-sync-report-* >&2 2>/dev/null || true' EXIT
for folder in /var/lib/do-memory /var/lib/storage-sync; do mount --bind $folder $folder; done
for place in / /etc /opt /var/lib; do mount -o remount,bind,ro $place; done
mount -t tmpfs tmpfs /tmp
as_user() {{
    setpriv --reuid {user} --regid $(id -g {user}) --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
        env -i PATH=/usr/bin:/bin LD_LIBRARY_PATH=/opt/python/lib HOME=/nonexistent PYTHONDONTWRITEBYTECODE=1 "$@"
}}
"""


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        raise RuntimeError("no systemd-analyze: run `make units`, or apt-get install systemd")
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    program = tmp_path / "storage-sync"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    places = Places(program=program)
    texts = {
        "storage-sync.service": watch_unit(places),
        "storage-sync-once.service": once_unit(places),
        "storage-sync.timer": timer_unit(),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return [tmp_path / name for name in texts]


def test_systemd_understands_every_unit(units: list[Path]) -> None:
    done = analyze("verify", "--man=no", "--recursive-errors=no", *units)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_little_is_exposed(units: list[Path]) -> None:
    for unit in units[:2]:
        done = analyze("security", "--offline=yes", "--no-pager", f"--threshold={EXPOSED_AT_MOST * 10:.0f}", unit)
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
        assert found is not None, done.stdout + done.stderr
        assert float(found[1]) <= EXPOSED_AT_MOST, done.stdout
        assert done.returncode == 0


def test_groff_has_nothing_to_say_about_the_man_page(tmp_path: Path) -> None:
    (tmp_path / "storage-sync.1").write_text(page(storage_sync), encoding="utf-8")
    command = ["groff", "-man", "-Tutf8", "-Kutf8", "-ww", "-z", str(tmp_path / "storage-sync.1")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def in_sandbox(tmp_path: Path, server: Sqld, auth: Auth, words: str, body: str) -> subprocess.CompletedProcess[str]:
    """Install as root in a mount namespace, then run `body` in what the unit would see."""
    token = tmp_path / "token"
    token.write_text(auth.token())
    (tmp_path / "result").mkdir()
    prepare = PREPARE.format(
        python=shlex.quote(sys.base_prefix),
        interpreter=f"python{sys.version_info.major}.{sys.version_info.minor}",
        site=shlex.quote(sysconfig.get_path("purelib")),
        tree=shlex.quote(str(ROOT)),
        result=shlex.quote(str(tmp_path / "result")),
        user=USER,
        primary=server.url,
        token=shlex.quote(str(token)),
        words=words,
    )
    script = prepare + SANDBOX.format(user=USER) + body
    return subprocess.run(
        ["unshare", "--mount", "/bin/sh", "-c", script],
        env={"PATH": os.environ["PATH"]},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


START = r"""
started() { sed -n 's/^ExecStart=\(.\+\)/\1/p' "$1" | tail -1 | sed 's|%S|/var/lib|g'; }
"""


def test_the_one_shot_service_proves_a_cache_as_its_user(tmp_path: Path) -> None:
    auth = Auth.generate()
    with Sqld(stores.primary("small", tmp_path / "p"), auth=auth) as server:
        body = f"""{START}
as_user $(started /etc/systemd/system/storage-sync-once.service) --json
ls -ln /var/lib/do-memory /var/lib/storage-sync
as_user sh -c 'for at in / /etc /etc/storage-sync /opt /var/lib; do touch $at/x 2>&- && echo WROTE $at; done; true'
"""
        done = in_sandbox(tmp_path, server, auth, "--timer", body)
        assert done.returncode == 0, done.stdout + done.stderr
    assert '"verdict":"IN_SYNC"' in done.stdout, done.stdout + done.stderr
    assert "WROTE" not in done.stdout
    owners = set(re.findall(r"^-\S+ +\d+ (\d+)", done.stdout, re.MULTILINE))
    assert owners == {"65534"}


def test_the_long_running_service_and_do_memorys_own_unit(tmp_path: Path) -> None:
    """`watch` until it is in sync and SIGTERM; then what the drop-in starts, which becomes do-memory's command."""
    auth = Auth.generate()
    with Sqld(stores.primary("small", tmp_path / "p"), auth=auth) as server:
        body = f"""{START}
mkfifo /tmp/log; chmod 666 /tmp/log
as_user $(started /etc/systemd/system/storage-sync.service) 2>/tmp/log >/dev/null &
while read -r line; do case "$line" in *'"message":"in sync"'*) kill -TERM $!; break;; esac; done < /tmp/log
code=0; wait $! || code=$?
echo "ended $code"
eval "as_user $(started /etc/systemd/system/do-memory.service.d/storage-sync.conf)"
cat /var/lib/do-memory/cache.redb > /opt/result/cache.redb
"""
        done = in_sandbox(tmp_path, server, auth, "", body)
        copy = stores.quiet_copy(server.database, tmp_path / "copy")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-2:] == ["ended 143", "65534"], done.stdout + done.stderr
    assert check(copy, tmp_path / "result" / "cache.redb").holds(exact=True)
