"""What a TOML of configs/ holds: which method, which faces, how long and how fast."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from facefill.choices import pick
from facefill.config import Frozen, build, override, read_toml
from facefill.errors import InputError
from facefill.methods import CLASSES
from facefill.methods.opened import still_known
from facefill.nets.cover import CoverNet
from facefill.nets.finder import FinderNet
from facefill.nets.second_look import SecondLookNet
from facefill.training.covering import CoveringConfig, open_covering, open_looks
from facefill.training.data import DataConfig, Source, open_faces
from facefill.training.lessons import LessonConfig, open_lessons

TRAINABLE: dict[str, Any] = {**CLASSES, "cover": CoverNet, "finder": FinderNet, "second_look": SecondLookNet}
"""All that the loop trains: the methods, and the helper networks, which have players and losses like a method."""


SOURCES = {"finder": "lessons", "cover": "covering", "second_look": "covering"}
"""Which part of a recipe says what these learn from; methods have `data`."""


class Stage(Frozen):
    """A stretch of training."""

    side_px: int | tuple[int, ...]
    """Side of the pictures; of several, batches take turns."""
    images: int
    """Pictures shown in this stage, by all processes together."""
    batch: int = 16
    """Pictures per step, by all processes together."""
    accumulate: int = 1
    """Parts that a step's batch is cut into, one after the other, where it does not fit into memory at once."""
    rate: float = 1e-3
    """Learning rate after warm-up."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """cosine falls to 2 % of the rate at the stage's end."""
    players: tuple[str, ...] | None = None
    """Who learns in this stage, by the names of the method's players; None: all."""
    model: dict[str, Any] = Field(default_factory=dict)
    """Settings of the method in this stage that differ from [model]; they cannot change a network's size."""

    @property
    def sides_px(self) -> tuple[int, ...]:
        """The sides that batches take in turn."""
        return self.side_px if isinstance(self.side_px, tuple) else (self.side_px,)


class TrainConfig(Frozen):
    """How long and how fast."""

    stages: tuple[Stage, ...]
    seed: int = 0
    warmup_images: int = 2000
    """Over which the rate rises from 0, in every stage; at most a quarter of it."""
    critic_turns: int = Field(default=1, ge=1)
    """Batches that every other player sees for each one that the generator sees; above 1 the generator's is one of its
    own (Shah et al. 2022, algorithm 1)."""
    ema_images: int = 10_000
    """Half-life of the averaged weights."""
    betas: tuple[float, float] = (0.9, 0.99)
    """AdamW's betas for the generator."""
    critic_betas: tuple[float, float] = (0.5, 0.99)
    """AdamW's betas for every other player."""
    critic_rate: float = 1.0
    """Learning rates of every other player as a share of the generator's."""
    weight_decay: float = 1e-4
    """Weight decay of the generator; other players have none."""
    clip_norm: float = 1.0
    """Largest norm of the generator's gradient."""
    eval_images: int = 10_000
    """Pictures between validations; the state is kept at each."""
    bf16: bool = True
    """bfloat16 autocast; weights and optimizers stay in float32."""


class Recipe(Frozen):
    """Everything that makes a run."""

    method: str
    init: Path | None = None
    """Weights (.safetensors of the same method) to start from."""
    fresh: tuple[str, ...] = ()
    """Parts of the network that begin anew all the same, by how the names of their tensors begin."""
    model: dict[str, Any] = Field(default_factory=dict)
    """The method's own settings, see its `Config`."""
    data: DataConfig | None = None
    """Aligned faces with holes."""
    lessons: LessonConfig | None = None
    """What the finder learns from, in place of `data`."""
    covering: CoveringConfig | None = None
    """What the cover network and the second look learn from, in place of `data`."""
    train: TrainConfig

    @property
    def pictures(self) -> DataConfig | LessonConfig | CoveringConfig:
        """Where the pictures come from. Raises InputError where nothing, or both, says so."""
        wanted = SOURCES.get(self.method, "data")
        given = [name for name in ("data", "lessons", "covering") if getattr(self, name) is not None]
        if given != [wanted]:
            got = " and ".join(f"[{name}]" for name in given) or "none"
            raise InputError(f"[{wanted}] and nothing else for {self.method}", got, "see configs/")
        chosen: DataConfig | LessonConfig | CoveringConfig = getattr(self, wanted)
        return chosen


def read_recipe(path: Path, settings: list[str]) -> Recipe:
    """A recipe from a TOML file with "key=value" settings on top, and all of the method's own settings resolved.

    Raises InputError for what is wrong in it.
    """
    recipe = build(Recipe, override(read_toml(path), settings), path.name)
    _ = recipe.pictures
    for stage in recipe.train.stages:
        settings_of(recipe, stage)
    return recipe.model_copy(update={"model": _resolve(recipe.method, recipe.model).model_dump()})


def build_method(name: str, settings: dict[str, Any]) -> Any:
    """A method, or a helper network, with fresh weights. Raises InputError for an unknown name or setting."""
    resolved = _resolve(name, settings)
    return TRAINABLE[name](resolved)


def build_written(about: dict[str, Any]) -> Any:
    """The method, or helper network, that the header of a weights file speaks of, with fresh weights."""
    name = about["method"]
    return build_method(name, still_known(pick(TRAINABLE, name, "method"), about["config"]))


def settings_of(recipe: Recipe, stage: Stage) -> Frozen:
    """The method's settings in a stage. Raises InputError for one that it does not have."""
    return _resolve(recipe.method, {**recipe.model, **stage.model})


def _resolve(name: str, settings: dict[str, Any]) -> Frozen:
    kind = pick(TRAINABLE, name, "method")
    resolved: Frozen = build(kind.Config, settings, f"[model] of {name}")
    return resolved


def open_source(recipe: Recipe) -> Source:
    """Open what a recipe's pictures come from."""
    pictures = recipe.pictures
    if isinstance(pictures, LessonConfig):
        return open_lessons(pictures)
    if isinstance(pictures, CoveringConfig):
        return open_covering(pictures) if recipe.method == "cover" else open_looks(pictures)
    return open_faces(pictures)
