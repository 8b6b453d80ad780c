"""The mutants of the Python rooms, made by mutmut's operators; a seeded sample of them."""

from __future__ import annotations

import ast
import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import libcst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider
from mutmut.configuration import config
from mutmut.mutation.file_mutation import Mutation, create_mutations, deep_replace


@dataclass(frozen=True)
class Mutant:
    """One changed file: its path in the tree, the lines that run for the change, both texts."""

    path: str
    lines: frozenset[int]
    before: str
    after: str

    @property
    def name(self) -> str:
        """The same for the same change of the same text."""
        digest = hashlib.sha256(self.before.encode() + b"\0" + self.after.encode()).hexdigest()
        return f"{self.path}:{min(self.lines)}:{digest[:12]}"


@dataclass(frozen=True)
class _Module:
    path: Path
    text: str
    tree: libcst.Module
    mutations: list[Mutation]
    places: Mapping[libcst.CSTNode, CodeRange]


def sample(count: int, seed: int) -> list[Mutant]:
    """So many mutants of the folders that `[tool.mutmut]` names; a larger sample begins with the smaller one."""
    modules = [_module(path) for folder in config().source_paths for path in sorted(folder.glob("*.py"))]
    choices = [(module, number) for module in modules for number in range(len(module.mutations))]
    random.Random(seed).shuffle(choices)
    found: dict[str, Mutant] = {}
    for module, number in choices:
        if len(found) == count:
            break
        mutant = _mutant(module, module.mutations[number])
        if mutant.before != mutant.after:
            found.setdefault(mutant.name, mutant)
    return list(found.values())


def _module(path: Path) -> _Module:
    text = path.read_text(encoding="utf-8")
    tree, mutations, *_ = create_mutations(str(path), text)
    places = MetadataWrapper(tree, unsafe_skip_copy=True).resolve(PositionProvider)
    return _Module(path, text, tree, mutations, places)


def _mutant(module: _Module, mutation: Mutation) -> Mutant:
    changed = deep_replace(module.tree, mutation.original_node, mutation.mutated_node)
    if not isinstance(changed, libcst.Module):
        raise TypeError(f"a mutation of {module.path} left no module")
    place = module.places[mutation.original_node]
    lines = range(place.start.line, place.end.line + 1)
    return Mutant(str(module.path), frozenset(lines) | {_statement(module.text, lines)}, module.text, changed.code)


def _statement(text: str, lines: range) -> int:
    """The first line of the innermost statement around these lines, which is what a trace of the run names."""
    around = [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.stmt) and node.lineno <= lines[0] and (node.end_lineno or 0) >= lines[-1]
    ]
    return max(around, default=lines[0])
