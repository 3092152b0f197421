"""The painter: ranges are those of geometry, and the three pictures show one body at one place."""

from __future__ import annotations

import math

import numpy as np
import pytest

from devices.simulated.canvas import Canvas, Kind, Lens, Pose, Texture
from devices.simulated.world import Scene, World

_LENS = Lens(hfov_deg=70.0)
_KINDS: tuple[Kind, ...] = ("colour", "depth", "thermal")
_HOT_K = 350.0
_WHITE = (255.0, 255.0, 255.0)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return World(5).scene_at(1_700_000_000_000_000_000)


def _begun(kind: Kind, scene: Scene, pose: Pose | None = None, lens: Lens = _LENS) -> Canvas:
    canvas = Canvas(kind, 120, 160, lens)
    canvas.begin(scene, pose or Pose())
    return canvas


def _rays(pose: Pose) -> np.ndarray:
    """(120, 160, 3) directions in the scene's frame, 1 along the axis, of a lens that only pitches."""
    focal = 80 / math.tan(math.radians(35))
    left = (79.5 - np.arange(160)) / focal
    up = (59.5 - np.arange(120)) / focal
    rays = np.stack(np.broadcast_arrays(1.0, left[None, :], up[:, None]), axis=-1)
    c, s = math.cos(pose.pitch), math.sin(pose.pitch)
    return np.stack([rays[..., 0] * c - rays[..., 2] * s, rays[..., 1], rays[..., 0] * s + rays[..., 2] * c], axis=-1)


@pytest.mark.parametrize("pitch", [0.0, -0.4, 0.2])
def test_ranges_of_the_ground_are_those_of_geometry(scene: Scene, pitch: float) -> None:
    pose = Pose(pitch=pitch)
    canvas = _begun("depth", scene, pose)
    canvas.slab(0.0, (-100, 1000), (-1000, 1000), _WHITE, 300.0)
    down = -_rays(pose)[..., 2]
    want = np.where(down > 0, scene.eye_m / np.maximum(down, 1e-9), np.inf)
    near = want < 50
    assert near.sum() > 1000
    np.testing.assert_allclose(canvas.image[near], want[near], rtol=2e-3)
    assert (canvas.image[down < 0] > 1000).all()


def test_ranges_of_a_slanted_wall_are_those_of_geometry(scene: Scene) -> None:
    canvas = _begun("depth", scene)
    canvas.wall((2.0, 3.0), (6.0, -4.0), (-5.0, 9.0), _WHITE, 300.0)
    rays = _rays(Pose())
    # The wall's ground line: 7 (x - 2) + 4 (y - 3) = 0.
    want = (7 * 2.0 + 4 * 3.0) / (7 * rays[..., 0] + 4 * rays[..., 1])
    seen = np.isfinite(canvas.image)
    assert seen.mean() > 0.8
    np.testing.assert_allclose(canvas.image[seen], want[seen], rtol=2e-3)


def test_a_wall_that_reaches_behind_the_wearer_keeps_its_ranges(scene: Scene) -> None:
    canvas = _begun("depth", scene)
    canvas.wall((-50.0, 1.0), (200.0, 1.0), (-3.0, 6.0), _WHITE, 300.0)
    left = _rays(Pose())[..., 1]
    seen = np.isfinite(canvas.image) & (canvas.image < 100)
    assert seen[60, 5]
    assert not seen[60, 120]
    np.testing.assert_allclose(canvas.image[seen], 1.0 / left[seen], rtol=5e-3)


@pytest.mark.parametrize("yaw", [0.0, 0.6])
def test_a_box_shows_its_near_faces(scene: Scene, yaw: float) -> None:
    canvas = _begun("depth", scene)
    canvas.box((3.0, 0.0, scene.eye_m), (1.0, 1.0, 1.0), _WHITE, 300.0, yaw=yaw)
    middle = float(canvas.image[60, 80])
    # The ray along the axis meets the turned cube's face at half its side over cos(yaw).
    assert middle == pytest.approx(3.0 - 0.5 / math.cos(yaw), rel=0.02)
    assert float(canvas.image[np.isfinite(canvas.image)].min()) <= middle * 1.001


def test_the_lens_sits_beside_the_eyes(scene: Scene) -> None:
    canvas = _begun("depth", scene, lens=Lens(70.0, (0.5, 0.0, 0.0)))
    canvas.wall((2.0, 9.0), (2.0, -9.0), (-9.0, 9.0), _WHITE, 300.0)
    np.testing.assert_allclose(canvas.image, 1.5, rtol=1e-3)


def test_a_long_rods_range_grows_along_it(scene: Scene) -> None:
    canvas = _begun("depth", scene)
    eye = scene.eye_m
    canvas.rod((1.0, 0.5, eye - 0.3), (6.0, 0.5, eye - 0.3), 0.03, _WHITE, 300.0)
    for far in (1.5, 3.0, 5.0):
        place = canvas.pixel((far, 0.5, eye - 0.3))
        assert place is not None
        assert canvas.image[round(place[1]), round(place[0])] == pytest.approx(far, rel=0.06)


def _paint(canvas: Canvas, body: str, eye: float) -> None:
    if body == "wall":
        canvas.wall((4.0, -0.4), (4.0, 0.9), (eye - 0.2, eye + 0.8), _WHITE, _HOT_K)
    elif body == "slab":
        canvas.slab(eye - 0.7, (2.0, 4.0), (-0.5, 0.5), _WHITE, _HOT_K)
    elif body == "box":
        canvas.box((3.0, 0.3, eye), (0.6, 0.6, 0.6), _WHITE, _HOT_K, yaw=0.4, pitch=0.3)
    elif body == "ball":
        canvas.ball((3.0, -0.3, eye + 0.2), 0.5, _WHITE, _HOT_K)
    elif body == "rod":
        canvas.rod((3.0, -0.6, eye - 0.5), (2.5, 0.6, eye + 0.4), 0.12, _WHITE, _HOT_K, radius_b=0.05)
    elif body == "ring":
        canvas.ring((3.0, 0.2, eye), 0.5, _WHITE, _HOT_K, normal=(1.0, 0.4, 0.1))
    else:
        texture = Texture(np.full((16, 32, 3), 255, np.uint8))
        canvas.panel((3.0, 0.5, eye - 0.3), (0.5, -1.2, 0.0), (0.0, 0.0, 0.7), texture, _HOT_K)


@pytest.mark.parametrize("body", ["wall", "slab", "box", "ball", "rod", "ring", "panel"])
def test_a_body_lies_at_the_same_pixels_in_all_three_pictures(scene: Scene, body: str) -> None:
    covered = {}
    for kind in _KINDS:
        canvas = _begun(kind, scene)
        before = canvas.image.copy()
        _paint(canvas, body, scene.eye_m)
        changed = canvas.image != before
        covered[kind] = changed.any(axis=2) if kind == "colour" else changed
        if kind == "depth":
            assert float(canvas.image[changed].min()) > 1.8
            assert float(canvas.image[changed].max()) < 4.3
        if kind == "thermal":
            np.testing.assert_allclose(canvas.image[changed], _HOT_K, atol=0.01)
    assert covered["depth"].sum() > 50
    assert (covered["depth"] != covered["thermal"]).mean() < 0.002
    # Colours have soft edges, a pixel wider.
    assert not (covered["depth"] & ~covered["colour"]).any()
    assert (covered["colour"] & ~covered["depth"]).sum() < 0.35 * covered["depth"].sum() + 60


@pytest.mark.parametrize("kind", _KINDS)
def test_what_is_behind_or_beside_the_view_leaves_no_trace(scene: Scene, kind: Kind) -> None:
    canvas = _begun(kind, scene)
    before = canvas.image.copy()
    eye = scene.eye_m
    canvas.ball((-2.0, 0.0, eye), 0.5, _WHITE, _HOT_K)
    canvas.rod((-2.0, 0.0, eye), (-1.0, 1.0, eye), 0.1, _WHITE, _HOT_K)
    canvas.box((2.0, 40.0, eye), (1.0, 1.0, 1.0), _WHITE, _HOT_K)
    canvas.wall((-3.0, -2.0), (-1.0, 2.0), (0.0, 3.0), _WHITE, _HOT_K)
    canvas.glow((1.0, 30.0, eye), 0.5, _WHITE)
    canvas.veil((1.0, -30.0, eye), 0.5, _WHITE, 0.9, _HOT_K)
    np.testing.assert_array_equal(canvas.image, before)


def test_a_panel_shows_its_texture_upright_and_straight(scene: Scene) -> None:
    colours = np.zeros((64, 64, 3), np.uint8)
    colours[:32, :32, 0] = colours[:32, 32:, 1] = colours[32:, :, 2] = 255
    warmth = np.zeros((64, 64), np.float32)
    warmth[32:] = 10.0
    eye = scene.eye_m
    for kind in ("colour", "thermal"):
        canvas = _begun(kind, scene)  # type: ignore[arg-type]
        canvas.panel((2.0, 1.0, eye - 1), (0.0, -2.0, 0.0), (0.0, 0.0, 2.0), Texture(colours, warmth), 290.0)
        if kind == "colour":
            for row, column, channel in ((40, 60, 0), (40, 100, 1), (80, 80, 2)):
                assert int(canvas.image[row, column].argmax()) == channel
        else:
            assert canvas.image[40, 60] == pytest.approx(290.0, abs=0.01)
            assert canvas.image[80, 80] == pytest.approx(300.0, abs=0.01)


def test_a_pane_stops_warmth_alone(scene: Scene) -> None:
    for kind in _KINDS:
        canvas = _begun(kind, scene)
        before = canvas.image.copy()
        canvas.pane([(2.0, 1.0, 0.0), (2.0, -1.0, 0.0), (2.0, -1.0, 3.0), (2.0, 1.0, 3.0)], 280.0)
        assert (canvas.image != before).any() == (kind == "thermal")


def test_what_is_twice_as_far_is_half_as_large(scene: Scene) -> None:
    widths = []
    for far in (2.0, 4.0):
        canvas = _begun("thermal", scene)
        canvas.ball((far, 0.0, scene.eye_m), 0.4, _WHITE, _HOT_K)
        widths.append((canvas.image == _HOT_K).any(axis=0).sum())
    assert widths[0] == pytest.approx(2 * widths[1], abs=2)


def test_sees_says_what_lies_outside(scene: Scene) -> None:
    canvas = _begun("colour", scene)
    assert canvas.sees((3.0, 0.0, scene.eye_m), 0.1)
    assert canvas.sees((-0.3, 0.0, scene.eye_m), 0.5)
    assert not canvas.sees((-3.0, 0.0, scene.eye_m), 0.5)
    assert not canvas.sees((3.0, 9.0, scene.eye_m), 0.5)


def test_pixel_is_where_the_body_is_painted(scene: Scene) -> None:
    canvas = _begun("thermal", scene, Pose(yaw=0.1, pitch=-0.05, roll=0.1))
    point = (4.0, 0.7, scene.eye_m + 0.3)
    canvas.ball(point, 0.1, _WHITE, _HOT_K)
    rows, columns = np.nonzero(canvas.image == _HOT_K)
    place = canvas.pixel(point)
    assert place is not None
    assert place == pytest.approx((columns.mean(), rows.mean()), abs=0.6)
    assert canvas.pixel((-1.0, 0.0, 1.0)) is None
