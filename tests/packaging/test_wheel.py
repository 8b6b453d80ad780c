"""What `make wheel sdist` made, installed into empty environments: no compiler, no Rust, no source tree."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import venv
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
"""Each that this machine has is tried; which were is in the test's name, and at least the oldest must be there."""
COMPILERS = ("cargo", "rustc", "cc", "gcc", "clang", "maturin")
LARGEST_WHEEL = 6 << 20
FIRST_PROOF_S = 30.0

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(900)]


@cache
def interpreter(version: str) -> str | None:
    """A Python of that version, asked what it really is."""
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python3"))
    for program in (shutil.which(f"python{version}"), sys.executable, *map(str, pyenv)):
        if program is None:
            continue
        ask = [program, "-c", "import sys, ensurepip; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(ask, capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return program
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Ask for interpreters only where these tests are asked for."""
    if "version" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--wheel")
        metafunc.parametrize("version", [one for one in VERSIONS if not wanted or interpreter(one) is not None])


def made(pattern: str) -> Path:
    (found,) = Path(os.environ["STORAGE_SYNC_DIST"]).glob(pattern)
    return found


@dataclass(frozen=True)
class Environment:
    """An empty virtual environment; what runs there sees its own programs and nothing else."""

    folder: Path
    home: Path

    @property
    def site(self) -> Path:
        (found,) = self.folder.glob("lib/python3.*/site-packages")
        return found

    def run(self, program: str, *words: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        variables = {"PATH": str(self.folder / "bin"), "HOME": str(self.home), "LANG": "C.UTF-8", **pip_settings()}
        assert [name for name in COMPILERS if shutil.which(name, path=variables["PATH"])] == []
        return subprocess.run(
            [self.folder / "bin" / program, *words],
            env=variables,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def install(self, *words: str) -> None:
        done = self.run("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words)
        assert done.returncode == 0, done.stderr


def pip_settings() -> dict[str, str]:
    """Where pip finds packages on this machine, and its cache."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))}
    kept |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    settings = Path.home() / ".config" / "pip" / "pip.conf"
    if settings.exists():
        kept.setdefault("PIP_CONFIG_FILE", str(settings))
    return {**kept, "PIP_CACHE_DIR": str(Path.home() / ".cache" / "pip"), "PIP_NO_BUILD_ISOLATION": "1"}


Make = Callable[[str], Environment]


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Make:
    @cache
    def one(version: str) -> Environment:
        folder = tmp_path_factory.mktemp(f"python-{version}")
        program = interpreter(version)
        assert program is not None, f"Python {version} is not on this machine"
        subprocess.run([program, "-m", "venv", folder / "env"], check=True)
        (folder / "home").mkdir()
        return Environment(folder / "env", folder / "home")

    return one


def test_the_oldest_python_is_here() -> None:
    assert interpreter("3.11") is not None


def test_the_wheel_proves_a_cache_in_an_empty_environment(environments: Make, version: str) -> None:
    empty = environments(version)
    # binary packages alone: nothing is compiled, whatever this machine has
    empty.install("--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(ROOT / "requirements.lock"))
    started = time.monotonic()
    empty.install("--no-deps", "--no-index", str(made("*.whl")))
    proved = empty.run("storage-sync", "demo", "--json")
    took = time.monotonic() - started
    assert proved.returncode == 0, proved.stderr
    document = json.loads(proved.stdout)
    assert (document["verdict"], document["error"]) == ("IN_SYNC", None)
    assert took < FIRST_PROOF_S
    said = empty.run("storage-sync", "--version").stdout
    assert said.startswith(f"storage-sync, version {document['version']}\ncommit ")
    assert "commit unknown" not in said
    assert f"for x86_64-unknown-linux-gnu, Python {version}." in said
    assert empty.run("storage-sync", "--help").returncode == 0


def test_the_readme_says_what_is_installed(environments: Make) -> None:
    """Within a tenth of the size, and the number of packages exactly."""
    empty = environments("3.11")
    listed = json.loads(empty.run("python", "-m", "pip", "list", "--format", "json").stdout)
    packages = {entry["name"].lower() for entry in listed} - {"pip", "setuptools"}
    assert not {name for name in packages if name.startswith(("sphinx", "alabaster", "docutils"))}
    ours = [
        path for path in empty.site.iterdir() if not path.name.lower().startswith(("pip", "setuptools", "_distutils"))
    ]
    size = sum(path.stat().st_size for top in ours for path in [top, *top.rglob("*")] if path.is_file()) / 1e6
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = re.search(r"(\d+) packages, (\d+) MB", readme)
    assert told is not None, f"{len(packages)} packages, {size:.0f} MB"
    assert int(told[1]) == len(packages)
    assert int(told[2]) == pytest.approx(size, rel=0.1)


def test_what_is_in_the_wheel() -> None:
    wheel = made("*.whl")
    assert re.fullmatch(r"storage_sync-[\d.]+-cp311-abi3-manylinux_2_28_x86_64\.whl", wheel.name)
    assert wheel.stat().st_size < LARGEST_WHEEL
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"storage_sync", "console", "widgets"}
    assert {f"{package}/py.typed" for package in ("storage_sync", "console", "widgets")} <= set(names)
    assert "console/app/console.tcss" in names or any(name.endswith(".tcss") for name in names)
    assert not [name for name in names if name.endswith((".pyc", ".rs")) or "test" in name]


def test_what_is_in_the_sdist() -> None:
    """All that a build needs, and nothing that only this tree needs."""
    with tarfile.open(made("*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "native/Cargo.toml", "native/Cargo.lock"} <= names
    assert {
        "native/build.rs",
        "native/codec/Cargo.toml",
        "native/codec/src/lib.rs",
        "storage_sync/_native.pyi",
    } <= names
    assert not [name for name in names if name.startswith((".tools", ".venv", "target", "dist"))]


def test_the_sdist_builds(tmp_path: Path) -> None:
    """On a machine with Rust, by pip, as somebody would on another processor."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["--require-hashes", "--no-deps", "-r", str(ROOT / "requirements-build.lock")]
    subprocess.run([*pip, "install", *build], check=True)
    variables = {
        **os.environ,
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "CARGO_TARGET_DIR": str(ROOT / "target"),
        "MATURIN_PEP517_ARGS": "--locked",
    }
    out = ["--wheel-dir", str(tmp_path / "out"), str(made("*.tar.gz"))]
    command = [*pip, "wheel", "--no-deps", "--no-build-isolation", *out]
    done = subprocess.run(command, env=variables, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "out").glob("storage_sync-*.whl")
    assert any(name.startswith("storage_sync/_native") for name in zipfile.ZipFile(wheel).namelist())
