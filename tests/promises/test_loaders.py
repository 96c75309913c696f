"""No pickle is ever loaded from anywhere, nor anything else by a way that could run it."""

from __future__ import annotations

import pytest

from tests.promises.loaders import loaders_in, sources


def test_no_source_loads_what_could_run() -> None:
    found = {path: loaders for path in sources() if (loaders := loaders_in(path.read_text(encoding="utf-8")))}
    assert len(sources()) > 200
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "import torch as t\nt.load('a')",
        "from torch import load as safe\nsafe('a')",
        "def f():\n    import torch\n    return torch.load",
        "import torch\ngetattr(torch, 'load')('a')",
        "import numpy as np\nnp.load('a.npy')",
        "import io\nio.read('a', allow_pickle=True)",
        "import yaml\nyaml.load('a')",
        "import shelve, joblib, dill",
        "eval('1')",
        "run = exec",
        "import os\nos.system('a')",
    ],
)
def test_one_that_does_is_found(source: str) -> None:
    assert loaders_in(source)


def test_what_is_only_called_alike_is_none() -> None:
    assert not loaders_in("import safetensors.torch\nsafetensors.torch.load(b'')\nmodel.eval()\nre.compile('a')")
