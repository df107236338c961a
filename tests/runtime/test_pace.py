"""A live camera's faces are drawn in every frame, as long as enough frames are shown."""

from __future__ import annotations

import pytest

from facefill.runtime.pace import MOST_FRAMES, Pace


class Machine:
    """Shows frames after the time that they take: so much each, and so much for each drawing of their share."""

    def __init__(self, frame_s: float, drawing_s: float, camera_s: float = 1 / 30) -> None:
        self.frame_s, self.drawing_s, self.camera_s = frame_s, drawing_s, camera_s
        self.now_s, self.pace = 0.0, Pace()

    def run(self, seconds: float) -> float:
        """The rate in the last second of so many."""
        end, times = self.now_s + seconds, []
        while self.now_s < end:
            self.pace.frame(self.now_s)
            self.pace.drew(self.drawing_s)
            self.now_s += max(self.frame_s + self.drawing_s / self.pace.every, self.camera_s)
            times.append(self.now_s)
        return sum(time > end - 1 for time in times)


def test_a_fast_machine_draws_in_every_frame() -> None:
    machine = Machine(0.01, 0.02)
    assert machine.run(10) >= 29
    assert machine.pace.every == 1


def test_a_slower_one_draws_as_often_as_it_can_show_24_frames_a_second() -> None:
    machine = Machine(0.02, 0.054)
    machine.run(10)
    assert min(machine.run(1) for _ in range(20)) >= 24
    assert 2 <= machine.pace.every <= 4


def test_one_that_is_too_slow_still_draws_in_every_eighth_frame() -> None:
    machine = Machine(0.05, 0.4)
    machine.run(20)
    assert machine.pace.every == MOST_FRAMES


@pytest.mark.parametrize(("drawing_s", "every"), [(0.01, 1), (0.05, 3)])
def test_a_slow_camera_does_not_keep_a_fast_machine_from_drawing(drawing_s: float, every: int) -> None:
    machine = Machine(0.01, drawing_s, camera_s=1 / 15)
    machine.run(20)
    assert machine.pace.every <= every


def test_it_draws_more_often_again_when_the_machine_has_time() -> None:
    machine = Machine(0.05, 0.4)
    machine.run(20)
    machine.frame_s, machine.drawing_s = 0.01, 0.02
    machine.run(20)
    assert machine.pace.every == 1
