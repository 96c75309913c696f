"""Find in source what loads data by a way that could run it: pickles and their kin, and Python's own eval and exec."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = frozenset(
    {
        *("pickle", "cPickle", "_pickle", "pickletools", "marshal", "shelve", "dill", "cloudpickle", "joblib"),
        *("yaml", "ruamel", "jsonpickle", "runpy", "code"),
    }
)
BUILTINS = frozenset({"eval", "exec", "compile", "__import__"})
NAMES = frozenset(
    {
        *("torch.load", "torch.jit.load", "torch.hub.load", "torch.export.load", "torch.package.PackageImporter"),
        *("torch.serialization.load", "numpy.load", "numpy.lib.npyio.load", "numpy.lib.format.read_array"),
        *("pandas.read_pickle", "importlib.util.spec_from_file_location", "importlib.machinery.SourceFileLoader"),
        *("ctypes.CDLL", "ctypes.cdll", "os.system", "os.popen", "builtins.eval", "builtins.exec"),
    }
)


def sources() -> list[Path]:
    """Return all source files of the two programs."""
    return sorted(path for folder in ("distill_engine", "distill_tui") for path in (ROOT / folder).rglob("*.py"))


def loaders_in(source: str) -> list[str]:
    """Return what in a source could execute the data it loads, each with its line; used counts, called or not."""
    tree = ast.parse(source.replace("ctypes.CDLL(None)", "None"))  # what Python has loaded already
    known = dict(_imported(tree))
    return [f"line {line}: {name}" for line, name in _uses(tree, known) if _is_loader(name)]


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield what names of the source stand for: `np` for numpy, `load` for torch.load."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                yield (one.asname, one.name) if one.asname else (one.name.partition(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom):
            yield from ((one.asname or one.name, f"{node.module}.{one.name}") for one in node.names)


def _uses(tree: ast.AST, known: dict[str, str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, lineno=line, ctx=ast.Load()) if name in BUILTINS or name in known:
                yield line, known.get(name, name)
            case ast.Attribute(lineno=line):
                yield line, _dotted(node, known)
            case ast.Import(names=names, lineno=line):
                yield from ((line, one.name) for one in names)
            case ast.ImportFrom(module=module, names=names, lineno=line):
                yield from ((line, f"{module}.{one.name}") for one in names)
            case ast.Call(func=ast.Name(id="getattr"), args=[of, ast.Constant(value=str(name)), *_], lineno=line):
                yield line, f"{_dotted(of, known)}.{name}"
            case ast.keyword(arg="allow_pickle" | "weights_only" as name, value=value, lineno=line):
                yield line, f"numpy.load with {name}={ast.unparse(value)}"


def _dotted(node: ast.expr, known: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, known)}.{node.attr}"
    return known.get(node.id, node.id) if isinstance(node, ast.Name) else "?"


def _is_loader(name: str) -> bool:
    return name.partition(".")[0] in MODULES or name in BUILTINS or name in NAMES or name.startswith("numpy.load ")
