"""Write a lock file: the exact version of everything that pip would install for the given requirements.

    python packaging/lock.py requirements.lock [--extra dev]

Names and versions only, so that the file is the same whatever index or mirror answered.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAD = "# Made by `make lock` from pyproject.toml; do not edit.\n"


def requirements(extras: list[str]) -> list[str]:
    """The direct requirements of the project and of its extras, with those that build it."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    wanted = [*project["dependencies"], *document["build-system"]["requires"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return list(dict.fromkeys(wanted))


def resolve(wanted: list[str]) -> dict[str, str]:
    """Normalised name -> version, as pip resolves it for an empty environment."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    report = json.loads(subprocess.run([*command, *wanted], check=True, stdout=subprocess.PIPE).stdout)
    found = (item["metadata"] for item in report["install"])
    return {re.sub(r"[-_.]+", "-", item["name"]).lower(): item["version"] for item in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--extra", action="append", default=[])
    arguments = parser.parse_args()
    pins = resolve(requirements(arguments.extra))
    lines = [f"{name}=={version}\n" for name, version in sorted(pins.items())]
    arguments.target.write_text(HEAD + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
