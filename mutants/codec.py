"""`make mutants`, of the codec: a seeded sample of what cargo-mutants would do to it, judged by the tests of its crate.

`python -m mutants.codec --count 100 --seed 1`; cargo-mutants is there after `cargo install cargo-mutants --locked`.
With `--iterate` the next run leaves out what was caught.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
from collections import Counter

from mutants.tree import REPOSITORY, Tree

CARGO = ["cargo", "mutants", "--dir", "native", "--package", "storage-sync-codec"]
FOLDER = REPOSITORY / "target" / "mutants-codec"


def sample(tree: Tree, count: int, seed: int) -> list[str]:
    """So many of the names of all mutants; a larger sample begins with the smaller one."""
    listed = subprocess.run([*CARGO, "--list", "--json"], cwd=tree.folder, check=True, capture_output=True).stdout
    names = [str(mutant["name"]) for mutant in json.loads(listed)]
    random.Random(seed).shuffle(names)
    return names[:count]


def table(outcomes: list[dict[str, object]]) -> str:
    """Noticed of all, by file, from the `outcomes.json` of cargo-mutants; one that does not compile is none."""
    counts: Counter[tuple[str, bool]] = Counter()
    for outcome in outcomes:
        scenario, summary = outcome["scenario"], outcome["summary"]
        if isinstance(scenario, dict) and summary != "Unviable":
            counts[scenario["Mutant"]["file"], summary != "MissedMutant"] += 1
    lines = []
    for path in sorted({path for path, _ in counts}):
        noticed, missed = counts[path, True], counts[path, False]
        lines.append(f"{path:44} {noticed:4} of {noticed + missed:4}  {noticed / (noticed + missed):6.1%}")
    noticed = sum(number for (_, good), number in counts.items() if good)
    return "\n".join([*lines, f"{'all':44} {noticed:4} of {counts.total():4}  {noticed / max(counts.total(), 1):6.1%}"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--iterate", action="store_true", help="leave out what an earlier run caught")
    options = parser.parse_args()
    tree = Tree.copied(FOLDER / "tree")  # the tests of the crate read fixtures beside it, so it is changed in its place
    chosen = [f"^{re.escape(name)}$" for name in sample(tree, options.count, options.seed)]
    command = [*CARGO, "--in-place", "--output", str(FOLDER), "--minimum-test-timeout", "60"]
    command += [part for name in chosen for part in ("--re", name)] + ["--iterate"] * options.iterate
    code = subprocess.run(command, cwd=tree.folder, check=False).returncode
    outcomes = json.loads((FOLDER / "mutants.out" / "outcomes.json").read_text(encoding="utf-8"))["outcomes"]
    print(table(outcomes))
    return 0 if code in {0, 2, 3} else code  # 2 and 3: some were missed, or took too long


if __name__ == "__main__":
    sys.exit(main())
