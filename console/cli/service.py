"""`service`: install it on an operator's machine, and remove it again."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from console.cli.invocation import Answer, Invocation
from console.cli.local import told, told_table
from storage_sync.values.errors import ConfigError, LocalIO, UsageError

if TYPE_CHECKING:
    from storage_sync.packaging.install import Step, Wanted
    from storage_sync.values.extra import Extra

CONFIG = Path("/etc/storage-sync/config.toml")
TOKEN = Path("/etc/storage-sync/token")
_HIDDEN = ("/home", "/root", "/tmp", "/var/tmp")  # noqa: S108 - names to refuse, nothing is made there


def install(
    invocation: Invocation, *, user: str | None, timer: bool, unit: str | None, root: str, plan_only: bool
) -> Answer:
    """Make what is missing; what exists stays, except for units that this command made."""
    from storage_sync.packaging.install import carry_out, plan_install

    tree = Path(root).absolute()
    wanted = _wanted(invocation, user, timer, unit, tree)
    steps = plan_install(wanted, tree)
    if not plan_only:
        carry_out(steps, tree)
    return _answer(invocation, steps, plan_only, following=_following(wanted, steps), back=_back(wanted))


def uninstall(invocation: Invocation, *, root: str, plan_only: bool) -> Answer:
    """Remove what `install` made for systemd; configuration, token and state stay."""
    from storage_sync.packaging.install import carry_out, plan_removal

    tree = Path(root).absolute()
    steps = plan_removal(tree)
    if not plan_only:
        carry_out(steps, tree)
    following = (
        "systemctl daemon-reload",
        f"rm -r {CONFIG.parent} /var/lib/storage-sync   # to remove configuration, token and state too",
    )
    return _answer(invocation, steps, plan_only, following=following, back=("storage-sync service install",))


def files(invocation: Invocation, folder: str) -> Answer:
    """Units, cron line, rules, dashboard, man page and completions, written into a folder."""
    from console.cli.manual import SHELLS, completion, page, program
    from storage_sync.files.writing import make_folder, replace_file
    from storage_sync.packaging.files import packaged
    from storage_sync.packaging.units import Places

    texts = packaged(Places()) | {"storage-sync.1": page(program())}
    texts |= {f"storage-sync.{shell}": completion(shell, program()) for shell in SHELLS}
    target = Path(folder)
    try:
        make_folder(target)
        for name, text in texts.items():
            replace_file(target / name, text.encode(), mode=0o644)
    except OSError as error:
        raise LocalIO(f"{folder} cannot be written: {error.strerror}") from None
    return Answer(told("service", {"files": sorted(texts)}), "\n".join(str(target / name) for name in sorted(texts)))


def _wanted(invocation: Invocation, user: str | None, timer: bool, unit: str | None, tree: Path) -> Wanted:
    from storage_sync.config.edit import template
    from storage_sync.packaging.install import Wanted

    present = tree / CONFIG.relative_to("/")
    if invocation.config_file is None and present.exists():
        # an installation that is done again, after an upgrade or with another user
        invocation.config_file = str(present)
    settings = invocation.loaded().settings
    lacks = [name for name in ("primary", "cache") if getattr(settings, name) is None]
    if settings.primary is None or settings.cache is None:
        raise ConfigError(f"no {' and no '.join(lacks)} is named", hint="give --primary URL and --cache PATH")
    token = settings.token_file or (None if settings.reads_a_file or settings.token_env else TOKEN)
    values: dict[str, object] = {
        **invocation.typed,
        "primary": settings.primary,
        "cache": settings.cache.absolute(),
        "state_dir": Path("/var/lib/storage-sync"),
    }
    if token is not None:
        values["token_file"] = token
    return Wanted(
        _program(), CONFIG, token, settings.cache.absolute(), template(values), user=user, timer=timer, unit=unit
    )


def _program() -> Path:
    """This program by its whole path, for a unit. UsageError where the unit's sandbox would not see it."""
    typed = Path(sys.argv[0])
    found = shutil.which(typed) if typed.name == "storage-sync" else None
    program = Path(found).absolute() if found is not None else Path(sys.executable).parent / "storage-sync"
    if not program.exists():
        raise UsageError(f"there is no program {program}", hint="install the wheel; docs/operations.md says how")
    if any(program.is_relative_to(place) for place in _HIDDEN):
        raise UsageError(
            f"{program} is in a folder that the service cannot see", hint="install it below /opt or /usr/local"
        )
    return program


def _answer(
    invocation: Invocation, steps: Sequence[Step], plan_only: bool, *, following: Sequence[str], back: Sequence[str]
) -> Answer:
    listed = [
        {
            "path": str(step.path),
            "fate": step.fate.value,
            "mode": f"{step.mode:04o}",
            "owner": step.owner_name,
            "why": step.why,
        }
        for step in steps
    ]
    rows = [(row["fate"], row["path"], row["owner"], row["mode"], row["why"]) for row in listed]
    head = ("would" if plan_only else "done", "path", "owner", "mode", "")
    lines = [told_table(invocation, head, rows) if rows else "Nothing that this command made is there."]
    lines += ["", "next:", *(f"  {line}" for line in following), "", "to undo it:", *(f"  {line}" for line in back)]
    extra: Extra = {"steps": listed, "carried_out": not plan_only, "next": list(following), "undo": list(back)}
    return Answer(told("service", extra), "\n".join(lines))


def _units(wanted: Wanted) -> str:
    return "storage-sync.timer" if wanted.timer else "storage-sync.service"


def _following(wanted: Wanted, steps: Sequence[Step]) -> tuple[str, ...]:
    from storage_sync.packaging.install import Fate

    made = {step.path for step in steps if step.fate is Fate.MAKE}
    owner = next((step.owner_name for step in steps if step.path == Path("/var/lib/storage-sync")), "")
    token = (f"put the token into {wanted.token}: cat > {wanted.token}",) if wanted.token in made else ()
    restart = (f"systemctl restart {wanted.unit}",) if wanted.unit else ()
    return (
        *token,
        f"runuser -u {owner} -- {wanted.program} doctor --config {wanted.config}",
        "systemctl daemon-reload",
        f"systemctl enable --now {_units(wanted)}",
        *restart,
    )


def _back(wanted: Wanted) -> tuple[str, ...]:
    restart = (f"systemctl restart {wanted.unit}",) if wanted.unit else ()
    return (
        f"systemctl disable --now {_units(wanted)}",
        "storage-sync service uninstall",
        "systemctl daemon-reload",
        *restart,
        f"rm -r {CONFIG.parent} /var/lib/storage-sync   # to remove configuration, token and state too",
    )
