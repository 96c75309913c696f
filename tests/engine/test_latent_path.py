"""Where sounds go in latent space: always where the corpus lies, from still to restless."""

from __future__ import annotations

import pytest
import torch

from distill_engine.latent_path import Cloud, Route, latent_path

CLOUD = Cloud(mean=torch.tensor([5.0, 0.0, 0.0]), steps=torch.tensor([[0.0, 3.0, 0.0], [0.0, 1.0, 1.0]]), rest=0.5)
TIMES = torch.linspace(0, 12, 50)


@pytest.mark.parametrize("evolution", [0.0, 0.5, 1.0])
def test_at_any_time_a_path_is_as_far_from_the_middle_as_the_corpus_spreads(evolution: float) -> None:
    routes = [Route(seconds=12, seed=seed, evolution=evolution) for seed in range(250)]
    places = torch.stack([latent_path(CLOUD, route, TIMES[[0, 23, 49]]) for route in routes])
    steps = CLOUD.steps
    expected = steps.T @ steps + torch.diag(torch.tensor([0.25, 0.0, 0.0]))
    for moment in range(3):
        assert places[:, moment].mean(0) == pytest.approx(CLOUD.mean, abs=0.6)
        assert torch.cov(places[:, moment].T).numpy() == pytest.approx(expected.numpy(), abs=2.0)


def test_without_evolution_a_path_stays_and_with_more_it_moves_faster() -> None:
    def moved(evolution: float) -> float:
        paths = [latent_path(CLOUD, Route(seconds=12, seed=s, evolution=evolution), TIMES) for s in range(20)]
        return float(torch.stack(paths).diff(dim=1).norm(dim=2).mean())

    assert moved(0.0) == 0.0
    assert 0.0 < moved(0.2) < 0.5 * moved(0.6)
    assert moved(0.6) < 0.8 * moved(1.0)


def test_a_path_begins_and_ends_where_it_is_told_and_wanders_between() -> None:
    start, end = torch.tensor([6.0, 1.0, 1.0]), torch.tensor([4.0, -2.0, 0.0])
    path = latent_path(CLOUD, Route(seconds=12, seed=1, evolution=1.0, start=start, end=end), TIMES)
    assert path[0].numpy() == pytest.approx(start.numpy(), abs=1e-4)
    assert path[-1].numpy() == pytest.approx(end.numpy(), abs=1e-4)
    other = latent_path(CLOUD, Route(seconds=12, seed=2, evolution=1.0, start=start, end=end), TIMES)
    assert (path - other).norm(dim=1).max() > 1.0


def test_on_the_way_between_two_alike_a_path_stays_as_far_from_the_middle_as_they_are() -> None:
    start, end = torch.tensor([6.0, 1.0, 1.0]), torch.tensor([6.2, 1.3, 0.8])
    there = Route(seconds=12, seed=1, evolution=0.0, start=start, end=end)
    far = (latent_path(CLOUD, there, TIMES) - CLOUD.mean).norm(dim=1)
    assert far.min() > 0.99 * min(far[0], far[-1])
    assert far.max() < 1.01 * max(far[0], far[-1])
    stays = latent_path(CLOUD, Route(seconds=12, seed=1, evolution=0.0, start=start, end=start), TIMES)
    assert torch.allclose(stays, start.expand_as(stays), atol=1e-5)
    opposite = Route(seconds=12, seed=1, evolution=0.0, start=start, end=2 * CLOUD.mean - start)
    assert latent_path(CLOUD, opposite, TIMES).isfinite().all()


def test_a_sound_of_one_piece_between_two_is_half_of_each() -> None:
    start, end = torch.tensor([6.0, 0.0, 0.0]), torch.tensor([5.0, 1.0, 0.0])
    (place,) = latent_path(CLOUD, Route(seconds=0.5, seed=1, evolution=0.0, start=start, end=end), torch.zeros(1))
    assert place.numpy() == pytest.approx([5 + 0.5**0.5, 0.5**0.5, 0.0], abs=1e-5)


def test_a_longer_sound_begins_as_a_shorter_one_does() -> None:
    short, long = (latent_path(CLOUD, Route(seconds=s, seed=3, evolution=0.7), TIMES[:20]) for s in (5.0, 60.0))
    assert torch.equal(short, long)


def test_without_an_analysis_places_are_drawn_from_the_standard_normal() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([Cloud.standard(6).deviation(generator) for _ in range(1000)])
    assert drawn.mean(0).numpy() == pytest.approx(torch.zeros(6).numpy(), abs=0.1)
    assert torch.cov(drawn.T).numpy() == pytest.approx(torch.eye(6).numpy(), abs=0.15)


def test_the_cloud_around_latents_has_their_middle_and_their_spread() -> None:
    random = torch.Generator().manual_seed(0)
    latents = torch.randn(4000, 6, generator=random) * torch.tensor([3.0, 2.0, 1.0, 0.5, 0.5, 0.5]) + 1.0
    cloud = Cloud.around(latents, most_steps=3)
    draws = torch.stack([cloud.mean + cloud.deviation(random) for _ in range(4000)])
    assert torch.allclose(draws.mean(0), latents.mean(0), atol=0.2)
    assert torch.allclose(draws.std(0), latents.std(0), rtol=0.1)
