"""One motion of the head: what the camera sees of it is what the IMU feels of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from devices.simulated.canvas import Canvas, Lens, Pose
from devices.simulated.config import SimulatedConfig
from devices.simulated.gaits import movements_of
from devices.simulated.imu import Imu
from devices.simulated.motion import GRAVITY_MPS2, HeadMotion, gaze_of
from devices.simulated.scenarios import GROUPS, SCENARIOS
from devices.simulated.stages import stage_of
from devices.simulated.world import Scene, scene_of

FIRST_INDEX = 179_000_000 // 16 * 16
NAMES = tuple(scenario.name for scenario in SCENARIOS)


def scenes(name: str, n: int = 1, seed: int = 3) -> Iterator[Scene]:
    """The first n scenes of a kind: each turn of sixteen holds one."""
    for index in range(FIRST_INDEX, FIRST_INDEX + 16 * n):
        scene = scene_of(seed, index)
        if scene.name == name:
            yield scene


def one(name: str) -> Scene:
    return next(scenes(name))


def place(pose: Pose) -> np.ndarray:
    return np.array([pose.x, pose.y, pose.z])


def rotation(pose: Pose) -> np.ndarray:
    """(3, 3): columns are the head's forward, left and up in the scene."""
    cy, cp, cr = (np.cos(angle) for angle in (pose.yaw, pose.pitch, pose.roll))
    sy, sp, sr = (np.sin(angle) for angle in (pose.yaw, pose.pitch, pose.roll))
    to_the_left = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    upwards = np.array([[cp, 0, -sp], [0, 1, 0], [sp, 0, cp]])
    right_ear_down = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    return np.asarray(to_the_left @ upwards @ right_ear_down)


def test_the_painter_turns_the_head_as_the_imu_does() -> None:
    scene = one("typing")
    canvas = Canvas("colour", 120, 160, Lens(60.0))
    f = 80 / np.tan(np.radians(30))
    for pose in (Pose(yaw=0.3), Pose(pitch=-0.4), Pose(roll=0.2), Pose(0.1, -0.2, 0.05, -0.2, 0.25, -0.15)):
        canvas.begin(scene, pose)
        seen_from = place(pose) + np.array([0.0, 0.0, scene.eye_m])
        x, y, z = seen_from + rotation(pose) @ (2.0, 0.3, 0.2)
        assert canvas.pixel((x, y, z)) == pytest.approx((79.5 - f * 0.15, 59.5 - f * 0.1), abs=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_felt_is_the_derivative_of_where_the_head_is(name: str) -> None:
    scene = one(name)
    motion = HeadMotion(scene)
    yaw, pitch = gaze_of(scene)

    def looking(age_s: float) -> np.ndarray:
        pose = motion.pose(age_s)
        return rotation(dataclasses.replace(pose, yaw=pose.yaw + yaw, pitch=pose.pitch + pitch))

    ages_s = np.arange(0.1, 9.9, 0.0731)
    h = 0.004
    felt = motion.felt(ages_s, shaken=False)
    for age_s, (force, rates) in zip(ages_s.tolist(), felt.reshape(-1, 2, 3), strict=True):
        before, here, after = (place(motion.pose(age_s + step)) for step in (-h, 0.0, h))
        upwards = np.array([0.0, 0.0, GRAVITY_MPS2])
        wanted = looking(age_s).T @ ((before - 2 * here + after) / h**2 + upwards)
        turning = looking(age_s).T @ (looking(age_s + h) - looking(age_s - h)) / (2 * h)
        assert np.abs(force - wanted).max() < 0.03
        assert np.abs(rates - (turning[2, 1], turning[0, 2], turning[1, 0])).max() < 0.02


@pytest.mark.parametrize("name", NAMES)
def test_what_is_felt_does_not_depend_on_the_chunk(name: str) -> None:
    motion = HeadMotion(one(name))
    ages_s = np.arange(0.0, 10.0, 0.005)
    whole = motion.felt(ages_s)
    for n in (1, 2, 7, 400):
        parts = [motion.felt(ages_s[i : i + n]) for i in range(0, len(ages_s), n)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_pictures_stay_on_their_subject(name: str) -> None:
    for scene in scenes(name, 12):
        motion = HeadMotion(scene)
        poses = [motion.pose(age_s) for age_s in np.arange(0.0, 10.0, 0.1).tolist()]
        assert max(abs(pose.yaw) for pose in poses) < 0.3
        assert max(abs(pose.pitch) for pose in poses) < 0.2
        assert max(abs(pose.roll) for pose in poses) < 0.15
        assert max(np.abs(place(pose)).max() for pose in poses) < 0.35


@pytest.mark.parametrize("name", NAMES)
def test_gravity_is_felt_where_the_wearer_looks_down(name: str) -> None:
    scene = one(name)
    mean = HeadMotion(scene).felt(np.arange(0.0, 10.0, 0.005))[:, :3].mean(axis=0)
    # Ten seconds of a slow push of the bus are no rest: 15 % off.
    assert np.linalg.norm(mean) == pytest.approx(GRAVITY_MPS2, rel=0.15)
    assert np.arctan2(mean[0], mean[2]) == pytest.approx(gaze_of(scene)[1], abs=0.12)


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_looks_where_its_class_says(name: str) -> None:
    # The IMU asks the class: painting the stage to learn its tilt would cost too much.
    for scene in scenes(name, 3):
        assert stage_of(scene).gaze == gaze_of(scene)


@pytest.mark.parametrize(
    ("name", "axis", "per_beat"),
    [
        ("dog_walk", 2, 1), ("supermarket", 2, 1), ("beach_run", 2, 1), ("stairs", 2, 1), ("hammering", 4, 1),
        ("rowing", 0, 1), ("vacuuming", 0, 1), ("tooth_brushing", 1, 1), ("cycling", 3, 1),
    ],
)  # fmt: skip
def test_the_rhythm_of_a_scene_is_felt(name: str, axis: int, per_beat: int) -> None:
    ages_s = np.arange(0.0, 10.0, 0.005)
    for scene in scenes(name, 3):
        felt = HeadMotion(scene).felt(ages_s)[:, axis]
        hz = np.fft.rfftfreq(8 * len(ages_s), 0.005)
        power = np.abs(np.fft.rfft((felt - felt.mean()) * np.hanning(len(felt)), 8 * len(ages_s)))
        power[hz < 0.3] = 0.0
        assert hz[int(power[hz < 6].argmax())] == pytest.approx(per_beat * scene.tempo_hz, abs=0.06)


@pytest.mark.parametrize(
    ("name", "coordinate", "sign"),
    [("dog_walk", "z", -1), ("beach_run", "z", -1), ("rowing", "x", 1), ("vacuuming", "x", -1)],
)
def test_the_head_keeps_time_with_the_beats(name: str, coordinate: str, sign: int) -> None:
    """Lowest as a foot comes down, bent forward as the oars go in, upright as a push of the cleaner begins."""
    for scene in scenes(name, 3):
        motion = HeadMotion(scene)
        beats_s = scene.beats_s(0.5, 9.0)
        at, between = (
            np.mean([getattr(motion.pose(age_s), coordinate) for age_s in (beats_s + off / scene.tempo_hz).tolist()])
            for off in (0.0, 0.5)
        )
        assert sign * (at - between) > 0.015


def test_a_blow_comes_at_its_beat() -> None:
    scene = one("hammering")
    motion = HeadMotion(scene)
    ages_s = np.arange(0.0, 10.0, 0.005)
    shocks = np.abs(motion.felt(ages_s) - motion.felt(ages_s, shaken=False))[:, :3].max(axis=1)
    for beat_s in scene.beats_s(0.2, 9.7):
        assert shocks[(ages_s >= beat_s) & (ages_s < beat_s + 0.06)].max() > 1.0
        assert shocks[(ages_s > beat_s - 0.15) & (ages_s < beat_s)].max() == 0.0


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        # m/s^2 off the median, at a vigour of 0.75 to 1.3: running 10 and more, sitting next to nothing.
        ("dog_walk", 1.0, 9.0), ("stairs", 1.5, 9.0), ("beach_run", 8.0, 28.0), ("bus_ride", 0.5, 7.0),
        ("cycling", 1.0, 15.0), ("hammering", 2.0, 9.0), ("typing", 0.0, 0.4), ("kettle", 0.0, 0.5),
    ],
)  # fmt: skip
def test_the_head_is_shaken_as_hard_as_people_are(name: str, low: float, high: float) -> None:
    for scene in scenes(name, 6):
        force = HeadMotion(scene).felt(np.arange(0.0, 10.0, 0.005))[:, :3]
        length = np.linalg.norm(force, axis=1)
        assert low < float(np.abs(length - np.median(length)).max()) < high


@pytest.mark.parametrize("group", ["sitting", "walking"])
def test_scenarios_of_one_group_share_their_movements(group: str) -> None:
    scene = one("piano" if group == "sitting" else "dog_walk")
    alike = [scenario for scenario in SCENARIOS if scenario.group == group]
    assert len(alike) >= 2
    first = movements_of(scene)
    for scenario in alike:
        same = movements_of(dataclasses.replace(scene, scenario=scenario))
        assert (same.waves, same.glances, same.posture) == (first.waves, first.glances, first.posture)


def test_sitting_people_have_no_rhythm_in_their_heads() -> None:
    for name in ("typing", "piano"):
        scene = one(name)
        faster = dataclasses.replace(scene, tempo_hz=2 * scene.tempo_hz)
        assert movements_of(scene).waves == movements_of(faster).waves
        assert not movements_of(scene).bursts


def test_every_group_has_movements_and_glances() -> None:
    for group in GROUPS:
        scenario = next(scenario for scenario in SCENARIOS if scenario.group == group)
        movements = movements_of(one(scenario.name))
        assert movements.waves
        assert movements.glances


def test_the_imu_is_mounted_a_little_crooked_and_reads_what_the_head_feels() -> None:
    angles = []
    for seed in range(6):
        scene = next(scenes("typing", seed=seed))
        t_ns = scene.begin_ns + np.arange(2000) * 5_000_000
        read = Imu(SimulatedConfig(modality="imu", seed=seed)).sample(0, t_ns).astype(np.float64)
        felt = HeadMotion(scene).felt(np.arange(0.0, 10.0, 0.005)[:2000])
        for part in (slice(0, 3), slice(3, 6)):
            lengths = [np.linalg.norm(rows[:, part], axis=1) for rows in (read, felt)]
            assert np.abs(lengths[0] - lengths[1]).max() < (0.12 if part.start == 0 else 0.012)
        down = [rows[:, :3].mean(axis=0) / np.linalg.norm(rows[:, :3].mean(axis=0)) for rows in (read, felt)]
        angles.append(float(np.arccos(down[0] @ down[1])))
    assert max(angles) < 0.08
    assert len({round(angle, 4) for angle in angles}) == 6


def test_vigour_scales_what_moves() -> None:
    scene = dataclasses.replace(one("vacuuming"), vigour=0.6)
    twice = dataclasses.replace(scene, vigour=1.2)
    small, large = (sum(abs(w.amplitude) for w in movements_of(s).waves) for s in (scene, twice))
    assert large == pytest.approx(2 * small)


def test_the_height_of_the_head_is_that_of_its_pose() -> None:
    motion = HeadMotion(one("beach_run"))
    ages_s = np.arange(0.0, 10.0, 0.1)
    heights = [motion.pose(age_s).z for age_s in ages_s.tolist()]
    assert np.abs(motion.height_m(ages_s) - heights).max() < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_glances_end_within_their_scene_and_never_overlap(name: str) -> None:
    for scene in scenes(name, 4):
        end_s = 0.0
        for glance in movements_of(scene).glances:
            assert glance.start_s >= end_s
            end_s = glance.start_s + glance.length_s
        assert end_s <= 10.0
