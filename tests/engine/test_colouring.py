"""Pieces in another level and tone: repeatable, within what was asked for, and true to silence and frequency."""

from __future__ import annotations

import torch
from torch import Tensor

from distill_engine.training.colouring import Colouring

_SCALE = 4.0
_DB = 8.685889638


def _pieces() -> Tensor:
    """Return four pieces well above silence, but for a silent stretch."""
    generator = torch.Generator().manual_seed(0)
    pieces = torch.rand(4, 2, 128, 94, generator=generator) + torch.tensor([1.0, -0.5])[:, None, None]
    pieces[:, :, :, 60:70] = 0.0
    return pieces


def _coloured(colouring: Colouring, epoch: int = 0) -> Tensor:
    pieces = _pieces()
    draws = colouring.drawn(epoch, len(pieces))
    assert draws is not None
    return colouring.apply(pieces, draws, _SCALE)


def _moved_db(colouring: Colouring, epoch: int = 0) -> Tensor:
    """Return by how many dB each band of each piece went up, [4, n_mels, sounding frames]."""
    change = _coloured(colouring, epoch)[:, 0] - _pieces()[:, 0]
    return torch.cat((change[..., :60], change[..., 70:]), dim=-1) * _SCALE * _DB


def test_a_piece_moves_as_a_whole_within_the_level_asked_for() -> None:
    moved = _moved_db(Colouring(level_db=6.0, tone_db=0.0, seed=1))
    assert torch.allclose(moved, moved[:, :1, :1].expand_as(moved), atol=1e-3)
    assert 1 < moved.abs().max() <= 6.001
    assert len(moved[:, 0, 0].unique()) == 4


def test_a_tone_is_a_smooth_curve_over_the_bands_and_steady_in_time() -> None:
    moved = _moved_db(Colouring(level_db=0.0, tone_db=6.0, seed=1))
    assert torch.allclose(moved, moved[..., :1].expand_as(moved), atol=1e-3)
    assert 1 < moved.abs().max() <= 6.001
    assert moved.diff(dim=1).abs().max() <= 12.01 / (127 / 5)


def test_silence_stays_silence_and_what_falls_to_it_loses_its_frequency() -> None:
    pieces = _pieces()
    coloured = _coloured(Colouring(level_db=40.0, tone_db=40.0, seed=3))
    assert (coloured[..., 60:70] == 0).all()
    fallen = (coloured[:, 0] == 0) & (pieces[:, 0] > 0)
    assert fallen.any()
    assert (coloured[:, 1][fallen] == 0).all()
    assert torch.equal(coloured[:, 1][~fallen], pieces[:, 1][~fallen])


def test_seed_and_epoch_alone_decide() -> None:
    colouring = Colouring(level_db=6.0, tone_db=6.0, seed=1)
    assert torch.equal(_moved_db(colouring, 2), _moved_db(colouring, 2))
    others = [_moved_db(colouring, 3), _moved_db(Colouring(level_db=6, tone_db=6, seed=2), 2)]
    assert not any(torch.equal(other, _moved_db(colouring, 2)) for other in others)


def test_nothing_is_done_where_nothing_is_asked_for() -> None:
    assert Colouring(level_db=0.0, tone_db=0.0, seed=0).drawn(0, 4) is None
