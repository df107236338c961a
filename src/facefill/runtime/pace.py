"""How often the faces of films and of a live camera are drawn."""

DRAWN_EVERY = 2
"""A face of a film that does not change is drawn in every second frame: 25 frames a second on two cores."""

RATE, SPARE = 25.0, 27.0
"""Below so many frames per second faces are drawn less often, above so many more often."""
MOST_FRAMES = 8
"""A face is drawn in every eighth frame at least, however slow the machine."""
LEAST_BUSY = 0.25
"""Share of the time in which networks draw even where the rate is not reached: the camera may be the slow one."""
STEP_S = 0.5
"""The rate is looked at every half second."""


class Pace:
    """In every frame, as long as enough frames are shown; otherwise in every second one, every third ..."""

    def __init__(self) -> None:
        self.every = 1
        """A face that does not change is drawn in every so many frames."""
        self._looked_s: float | None = None
        self._frames = 0
        self._drawing_s = 0.0

    def drew(self, seconds: float) -> None:
        """Networks took so long for the faces of one frame."""
        self._drawing_s = seconds

    def frame(self, now_s: float) -> None:
        """Another frame came. now_s: from any clock that only goes on."""
        if self._looked_s is None:
            self._looked_s = now_s
            return
        self._frames += 1
        if now_s - self._looked_s < STEP_S:
            return
        interval_s = (now_s - self._looked_s) / self._frames
        self._looked_s, self._frames = now_s, 0
        if interval_s < 1 / SPARE:
            self.every = max(self.every - 1, 1)
        elif interval_s > 1 / RATE:
            most = min(MOST_FRAMES, max(1, int(self._drawing_s / (LEAST_BUSY * interval_s))))
            self.every = min(self.every + 1, most)
