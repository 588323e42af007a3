"""Changed photos stay photos, and are decided by their random generator."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from orchard.finetune.looks import Look, Pixels, apply, draw_look, white_background

PLAIN = Look(0.0, 1.0, (0.0, 0.0), False, np.ones(3, np.float32), 1.0, 1.0, None, 0.0)


def disc(size: int = 48, colour: tuple[int, int, int] = (180, 40, 30)) -> Pixels:
    """A disc right of the middle on white, with a white spot in it."""
    y, x = np.mgrid[:size, :size]
    pixels = np.full((size, size, 3), 255, np.uint8)
    pixels[np.hypot(x - 0.6 * size, y - 0.5 * size) < 0.3 * size] = colour
    pixels[np.hypot(x - 0.6 * size, y - 0.5 * size) < 0.05 * size] = 255
    return pixels


@given(st.integers(0, 2**32), st.tuples(st.integers(1, 40), st.integers(1, 40)))
@settings(deadline=None)
def test_a_changed_photo_has_the_same_shape_and_type_and_is_repeatable(seed: int, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)
    first, again = (apply(draw_look(np.random.default_rng(seed)), pixels) for _ in range(2))
    assert first.shape == pixels.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)


def test_extreme_colours_are_clipped_and_do_not_wrap_around() -> None:
    bright = replace(PLAIN, gains=np.array([9, 9, 9], np.float32))
    assert apply(bright, disc(colour=(100, 100, 100))).min() == 255
    assert apply(replace(PLAIN, contrast=50.0), disc(colour=(100, 100, 100))).min() == 0


def test_a_look_that_changes_nothing() -> None:
    assert np.array_equal(apply(PLAIN, disc()), disc())


def test_turns_scales_shifts_and_mirrors() -> None:
    def middle(look: Look) -> list[float]:
        inside = 255 - apply(look, disc()).astype(float).mean(axis=2)
        y, x = np.mgrid[:48, :48] + 0.5
        return [float((inside * place).sum() / inside.sum() / 48) for place in (x, y)]

    np.testing.assert_allclose(middle(PLAIN), [0.61, 0.51], atol=0.01)
    np.testing.assert_allclose(middle(replace(PLAIN, turn=180.0)), [0.39, 0.49], atol=0.01)
    np.testing.assert_allclose(middle(replace(PLAIN, mirrored=True)), [0.39, 0.51], atol=0.01)
    np.testing.assert_allclose(middle(replace(PLAIN, shift=(0.05, -0.1))), [0.66, 0.41], atol=0.01)
    small, whole = (int((apply(look, disc()) < 250).sum()) for look in (replace(PLAIN, scale=0.5), PLAIN))
    assert 0.2 < small / whole < 0.3


def test_white_background_is_connected_to_the_edge() -> None:
    cover = white_background(disc())
    assert cover[0, 0] == 1
    assert cover[24, 29] == 0  # the spot in the disc
    assert not white_background(255 - disc()).any()  # black


def test_a_replaced_background_leaves_the_fruit() -> None:
    green = np.zeros((4, 4, 3), np.float32) + np.array([0, 200, 0], np.float32)
    changed = apply(replace(PLAIN, background=green), disc())
    assert changed[0, 0].tolist() == [0, 200, 0]
    assert changed[24, 20].tolist() == [180, 40, 30]
    assert changed[24, 29].tolist() == [255, 255, 255]


def test_warm_light_is_redder() -> None:
    warm = replace(PLAIN, gains=np.array([1.2, 1.0, 0.8], np.float32))
    assert apply(warm, disc())[24, 20].tolist() == [216, 40, 24]


def test_looks_differ() -> None:
    looks = [draw_look(np.random.default_rng(seed)) for seed in range(40)]
    assert len({look.turn for look in looks}) == 40
    for name in ("background", "blur", "mirrored"):
        assert 0 < sum(bool(np.any(getattr(look, name))) for look in looks if getattr(look, name) is not None) < 40
