"""`make mutants`: put a seeded sample of faults into the code, one at a time, and count those that no test notices.

Each verdict is kept in the folder as soon as it is known, under the fault's name: stop it whenever you like, and the
next run of the same seed goes on from there. Those that change nothing that anybody can see stand in
`equivalent.toml`, each with its reason, and are not counted.
"""

from __future__ import annotations

import argparse
import difflib
import os
import time
from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import msgspec
import pytest

from mutants.population import Mutant, sample
from mutants.tree import AT_ONCE_S, REPOSITORY, Reach, Tree

ROOMS = ("sync", "checks", "cache", "verify", "edits", "recovery", "service", "reports")
"""Those of the code that is changed, and those above it whose tests drive it in their own process."""
NOTICED, LATE, MISSED, UNREACHED, UNSTEADY = "noticed", "too late", "missed", "not run", "unsteady"


class Verdict(msgspec.Struct, frozen=True):
    """What came of one mutant: `too late` counts as noticed, `not run` as missed, and so does `unsteady`: the test that
    failed then failed without the mutant too."""

    name: str
    path: str
    outcome: str
    seconds: float
    tests: int
    diff: str


class Equivalent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mutant that changes nothing that anybody can see: the line, or the lines in one, before and after; and why."""

    path: str
    before: str
    after: str
    why: str


OUTCOMES: dict[int | None, str] = {
    None: LATE,
    pytest.ExitCode.OK: MISSED,
    pytest.ExitCode.TESTS_FAILED: NOTICED,
    pytest.ExitCode.INTERRUPTED: NOTICED,
    pytest.ExitCode.USAGE_ERROR: NOTICED,
}
"""What the exit code of pytest says; the last two are those of tests, or settings of tests, that cannot import it."""
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
OTHERS = ("aiohttp", "numpy", "orjson", "cryptography.hazmat.primitives.asymmetric.ed25519", "textual.app")
"""What tests import of others, and what a fork then has."""


def judge(tree: Tree, reach: Reach, mutant: Mutant, budget_s: float) -> Verdict:
    """Run the tests that run the changed lines until the first of them fails."""
    tests = reach.of(mutant, budget_s)
    began = time.monotonic()
    outcome = UNREACHED
    if tests is not None:
        with tree.holding(mutant):
            code = tree.judged(tests, timeout_s=60 + 5 * sum(reach.seconds[test] for test in tests))
        outcome = OUTCOMES[code]
        failed = [test for test in tree.failed() if reach.seconds[test] >= AT_ONCE_S] if outcome == NOTICED else []
        if failed and tree.judged(failed, timeout_s=60 + 5 * sum(reach.seconds[test] for test in failed)) != 0:
            outcome = UNSTEADY
    return Verdict(
        mutant.name, mutant.path, outcome, time.monotonic() - began, len(tests or ()), "\n".join(difference(mutant, 1))
    )


def difference(mutant: Mutant, around: int) -> list[str]:
    """The changed lines as a diff, with so many lines around them."""
    diff = difflib.unified_diff(mutant.before.splitlines(), mutant.after.splitlines(), "a", "b", "", "", around, "")
    return list(diff)[2:]


def good(verdict: Verdict) -> bool:
    return verdict.outcome in {NOTICED, LATE}


def equivalent(mutant: Mutant, known: Iterable[Equivalent]) -> bool:
    """Whether it is one of those that change nothing that anybody can see."""
    here = [one for one in known if one.path == mutant.path]
    lines = difference(mutant, 0)[1:] if here else []
    before = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
    after = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
    return any((one.before, one.after) == (before, after) for one in here)


def table(verdicts: Iterable[Verdict]) -> str:
    """Noticed of all, by file."""
    counts = Counter((verdict.path, good(verdict)) for verdict in verdicts)
    lines = []
    for path in sorted({path for path, _ in counts}):
        noticed, missed = counts[path, True], counts[path, False]
        lines.append(f"{path:44} {noticed:4} of {noticed + missed:4}  {noticed / (noticed + missed):6.1%}")
    noticed = sum(number for (_, good), number in counts.items() if good)
    lines.append(f"{'all':44} {noticed:4} of {counts.total():4}  {noticed / max(counts.total(), 1):6.1%}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="how many mutants of the Python rooms")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="those whose path begins with this")
    parser.add_argument("--minutes", type=float, default=1e9, help="start none after this time")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds of tests for each mutant")
    parser.add_argument("--missed", action="store_true", help="judge those again that were missed")
    parser.add_argument("--fresh", action="store_true", help="copy the tree and learn again which tests run what")
    parser.add_argument("--jobs", type=int, default=2, help="workers of the one run without mutants")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "target" / "mutants")
    options = parser.parse_args()
    for name in OTHERS:
        import_module(name)
    options.folder = options.folder.resolve()
    options.folder.mkdir(parents=True, exist_ok=True)
    tree, reach = prepared(options.folder, fresh=options.fresh, jobs=options.jobs)
    os.chdir(tree.folder)  # mutmut takes its settings and the files from where it is
    kept = options.folder / f"verdicts-{options.seed}.jsonl"
    known = {verdict.name: verdict for verdict in read(kept)}
    sampled = [mutant for mutant in sample(options.count, options.seed) if mutant.path.startswith(options.only)]
    explained = msgspec.toml.decode(EQUIVALENT.read_bytes(), type=dict[str, list[Equivalent]])["mutant"]
    chosen = [mutant for mutant in sampled if not equivalent(mutant, explained)]
    ends = time.monotonic() + 60 * options.minutes
    for number, mutant in enumerate(chosen, 1):
        before = known.get(mutant.name)
        if time.monotonic() > ends or (before and (good(before) or not options.missed)):
            continue
        verdict = known[mutant.name] = judge(tree, reach, mutant, options.budget)
        with kept.open("ab") as file:
            file.write(msgspec.json.encode(verdict) + b"\n")
        print(
            f"{number:4} {verdict.outcome:8} {verdict.seconds:6.1f} s {verdict.tests:3} tests  {verdict.name}",
            flush=True,
        )
    judged = [known[mutant.name] for mutant in chosen if mutant.name in known]
    for verdict in judged:
        if not good(verdict):
            print(f"\n{verdict.outcome}: {verdict.name}\n{verdict.diff}")
    print(f"\n{table(judged)}")
    print(f"{len(sampled) - len(chosen)} more change nothing that anybody can see: {EQUIVALENT.name}")


def prepared(folder: Path, *, fresh: bool, jobs: int) -> tuple[Tree, Reach]:
    """The copy of the tree and what its tests run, made when they are missing or `fresh` are asked for."""
    known, tree = folder / "reach.json", Tree(folder / "tree")
    if known.exists() and not fresh:
        return tree.mended(), msgspec.json.decode(known.read_bytes(), type=Reach)
    known.unlink(missing_ok=True)
    tree = Tree.copied(folder / "tree")
    print("running the tests without a mutant", flush=True)
    reach = tree.reach([f"tests/{room}" for room in ROOMS], jobs)
    known.write_bytes(msgspec.json.encode(reach))
    return tree, reach


def read(kept: Path) -> list[Verdict]:
    return [msgspec.json.decode(line, type=Verdict) for line in kept.read_bytes().splitlines()] if kept.exists() else []


if __name__ == "__main__":
    main()
