"""What of vLLM this project touches, and what another version of it has changed there; nothing is imported or run.

    python -m scripts.vllm_interfaces                    what is touched
    python -m scripts.vllm_interfaces NEW                what another one has changed: a wheel, or a folder with `vllm`
    python -m scripts.vllm_interfaces NEW --old OLD      beside another one than that which is installed
    python -m scripts.vllm_interfaces NEW --markdown     as a table

Taken from the sources of `server`: names that are imported from vLLM, attributes of them that are used or replaced,
methods of its classes that ours override, and modules that are named in texts. `missing` breaks what uses it,
`signature` probably, `body` has to be read. Exit code 1 if anything is missing.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import re
import sys
import zipfile
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
OURS = ("server",)
NAME = re.compile(r"vllm(\.\w+)+")
LAZY = re.compile(r"(\.[\w.]+):(\w+)")
"""How `vllm/__init__.py` says where a name comes from."""
Node = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
MISSING, SIGNATURE, BODY, SAME = "missing", "signature", "body", "same"


class Source:
    """The Python files of a version, in a wheel or a folder that holds `vllm`."""

    def __init__(self, place: Path) -> None:
        """Raises ValueError: there is no vLLM."""
        self._wheel = zipfile.ZipFile(place) if place.is_file() else None
        self._folder = place
        self._names = set(self._wheel.namelist()) if self._wheel else set()
        if self.module("vllm") is None:
            raise ValueError(f"{place} holds no vLLM: a wheel, or a folder with `vllm` in it")

    def _read(self, name: str) -> str | None:
        if self._wheel:
            return self._wheel.read(name).decode() if name in self._names else None
        path = self._folder / name
        return path.read_text(encoding="utf-8") if path.is_file() else None

    @cache  # noqa: B019 - two of them live as long as the program
    def module(self, name: str) -> ast.Module | None:
        """The tree of a module."""
        path = name.replace(".", "/")
        for file in (f"{path}.py", f"{path}/__init__.py"):
            if (text := self._read(file)) is not None:
                return ast.parse(text)
        return None

    def is_package(self, name: str) -> bool:
        """Whether a module is a folder."""
        return self._read(f"{name.replace('.', '/')}/__init__.py") is not None

    def find(self, path: str) -> ast.AST | None:
        """What stands behind a dotted path: a module, or what is defined, imported or inherited there."""
        found = self._locate(path)
        return found[1] if found else None

    def _locate(self, path: str) -> tuple[str, ast.AST] | None:
        """The same, with the module in which it is written."""
        if (tree := self.module(path)) is not None:
            return path, tree
        owner, _, name = path.rpartition(".")
        if not owner or (held := self._locate(owner)) is None:
            return None
        module, node = held
        if isinstance(node, ast.Module):
            return self._in_module(module, node, name)
        return self._in_class(module, node, name) if isinstance(node, ast.ClassDef) else None

    def _in_module(self, module: str, tree: ast.Module, name: str) -> tuple[str, ast.AST] | None:
        for node in ast.walk(tree):
            if isinstance(node, Node) and name in _defines(node) and node.col_offset <= 4:
                return module, node
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return self._locate(f"{self._absolute(module, node)}.{alias.name}")
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                lazy = LAZY.fullmatch(node.value)
                if lazy and lazy[2] == name:
                    return self._locate(f"{module}{lazy[1]}.{name}")
        return None

    def _in_class(self, module: str, node: ast.ClassDef, name: str) -> tuple[str, ast.AST] | None:
        for child in node.body:
            if isinstance(child, Node) and name in _defines(child):
                return module, child
        for base in node.bases:
            written = base.value if isinstance(base, ast.Subscript) else base
            if (held := self._locate(f"{module}.{ast.unparse(written)}")) and isinstance(held[1], ast.ClassDef):
                found = self._in_class(held[0], held[1], name)
                if found:
                    return found
        return None

    def _absolute(self, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = module.split(".")
        parts = parts[: len(parts) - node.level + self.is_package(module)]
        return ".".join([*parts, *([node.module] if node.module else [])])


def _defines(node: Node) -> set[str]:
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    if isinstance(node, ast.AnnAssign):
        return {node.target.id} if isinstance(node.target, ast.Name) else set()
    return {node.name}


def touched(folders: tuple[str, ...] = OURS) -> dict[str, set[str]]:
    """Dotted paths within vLLM -> the files of ours that use them."""
    found: dict[str, set[str]] = defaultdict(set)
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for name in _uses(ast.parse(path.read_text(encoding="utf-8"))):
                found[name].add(str(path.relative_to(ROOT)))
    return dict(sorted(found.items()))


def _uses(tree: ast.Module) -> Iterator[str]:
    names = dict(_imported(tree))
    yield from (path for path in names.values() if path.partition(".")[0] == "vllm")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
            yield f"{names[node.value.id]}.{node.attr}"
        elif isinstance(node, ast.ClassDef):
            bases = [names[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in names]
            methods = [child.name for child in node.body if isinstance(child, ast.FunctionDef)]
            yield from (f"{base}.{method}" for base in bases for method in methods if not method.startswith("__"))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
            yield node.value


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Local name -> path within vLLM."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "vllm":
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("vllm."):
                    yield alias.asname or alias.name, alias.name


def compare(path: str, old: Source, new: Source) -> str:
    """What another version has changed behind a path."""
    before, after = old.find(path), new.find(path)
    if after is None:
        return MISSING if before is not None else SAME  # what we give a class of vLLM's, and it does not have
    if before is None or isinstance(before, ast.Module) or ast.dump(before) == ast.dump(after):
        return SAME
    return BODY if _signature(before) == _signature(after) else SIGNATURE


def _signature(node: ast.AST) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return ast.dump(node.args)
    if isinstance(node, ast.ClassDef):
        made = next(
            (child for child in node.body if isinstance(child, ast.FunctionDef) and child.name == "__init__"), None
        )
        return f"{[ast.dump(base) for base in node.bases]} {ast.dump(made.args) if made else ''}"
    return ""


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("new", type=Path, nargs="?", help="a wheel, or a folder with `vllm` in it")
    parser.add_argument("--old", type=Path, help="likewise (default: the vLLM that is installed)")
    parser.add_argument("--markdown", action="store_true", help="a table for the documents, of what has changed")
    args = parser.parse_args()
    try:
        old = Source(args.old or _installed())
        new = Source(args.new) if args.new else old
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        parser.error(str(error))
    rows = [(compare(path, old, new), path, sorted(files)) for path, files in touched().items()]
    counts = {kind: sum(row[0] == kind for row in rows) for kind in (SAME, BODY, SIGNATURE, MISSING)}
    if args.markdown:
        print("| of vLLM | changed | used in |\n| --- | --- | --- |")
    for kind, path, files in rows:
        if args.markdown and kind != SAME:
            print(f"| `{path}` | {kind} | {', '.join(f'`{file}`' for file in files)} |")
        elif not args.markdown and (kind != SAME or not args.new):
            print(f"{kind:10} {path}  ({', '.join(files)})")
    print(f"\n{len(rows)} in all: " + ", ".join(f"{count} {kind}" for kind, count in counts.items()), file=sys.stderr)
    return int(counts[MISSING] > 0)


def _installed() -> Path:
    spec = importlib.util.find_spec("vllm")
    if spec is None or spec.origin is None:
        raise ValueError("vLLM is not installed: give --old")
    return Path(spec.origin).parents[1]


if __name__ == "__main__":
    sys.exit(main())
