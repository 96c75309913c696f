"""What torch is told before it is loaded."""

from __future__ import annotations

from pathlib import Path

from distill_engine.torch_environment import prepare_for_torch


def test_what_is_compiled_is_kept_in_the_users_own_cache(home: Path) -> None:
    told: dict[str, str] = {}
    prepare_for_torch(told)
    assert Path(told["TORCHINDUCTOR_CACHE_DIR"]).is_relative_to(home / "cache")


def test_what_the_user_has_set_stays() -> None:
    told = {"TORCHINDUCTOR_CACHE_DIR": "/elsewhere", "OMP_WAIT_POLICY": "ACTIVE"}
    before = dict(told)
    prepare_for_torch(told)
    assert told == before
