"""The house keeps its layers: checked on the code's own imports, also those hidden inside functions."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "facefill"
LAYERS = {
    "arrays": 0,
    "errors": 0,
    "choices": 0,
    "config": 0,
    "catalog": 0,
    "offline": 0,
    "threads": 0,
    "imaging": 1,
    "nets": 1,
    "files": 2,
    "covers": 2,
    "methods": 2,
    "runtime": 3,
    "datasets": 4,
    "training": 5,
    "evaluation": 5,
    "batch": 6,
    "server": 6,
    "video": 6,
    "commands": 7,
    "__main__": 8,
    "__init__": 8,
}
MODULES = sorted(path for path in SOURCE.rglob("*.py"))
WITHOUT_TORCH = (
    "arrays",
    "choices",
    "errors",
    "offline",
    "threads",
    "config",
    "catalog",
    "imaging",
    "files",
    "covers",
    "runtime",
    "datasets",
    "batch",
    "server",
    "video",
    "commands",
)


def name_of(path: Path) -> str:
    parts = list(path.relative_to(SOURCE.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports_of(tree: ast.AST, *, typing_too: bool = False) -> Iterator[tuple[str, bool]]:
    """(module, imported inside a function?) for every import; those for type checkers only are left out."""

    def visit(node: ast.AST, inside: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, "imports are absolute"
                yield from ((f"{child.module}.{alias.name}", inside) for alias in child.names)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test) and not typing_too:
                continue
            else:
                yield from visit(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    yield from visit(tree, False)


def resolve(imported: str, modules: set[str]) -> str | None:
    """The module of ours that an import reaches, None for another package's."""
    if not imported.startswith("facefill"):
        return None
    while imported not in modules and "." in imported:
        imported = imported.rpartition(".")[0]
    return imported


TREES = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
OURS = set(TREES) | {"facefill"}


def broken_layers(trees: dict[str, ast.Module]) -> list[str]:
    found = []
    for module, tree in trees.items():
        for imported, _ in imports_of(tree, typing_too=True):
            target = resolve(imported, OURS)
            if target is None or room_of(module) == "__init__":
                continue
            here, there = room_of(module), room_of(target)
            if target == "facefill" and imported == "facefill.__version__":
                continue
            if here != there and LAYERS[there] >= LAYERS[here] and not (LAYERS[here] == LAYERS[there] == 0):
                found.append(f"{module} imports {target}")
    return found


def test_every_room_has_a_layer() -> None:
    assert {room_of(module) for module in TREES} <= set(LAYERS)


def test_imports_only_point_down() -> None:
    assert broken_layers(TREES) == []


def test_an_import_hidden_in_a_function_is_seen() -> None:
    guilty = ast.parse("def f():\n    from facefill.runtime.model import load\n")
    assert broken_layers({"facefill.imaging.bad": guilty}) == ["facefill.imaging.bad imports facefill.runtime.model"]


def circle_in(trees: dict[str, ast.Module]) -> list[str]:
    """Modules that import each other, also inside functions; the package's own version is nobody's import."""
    graph = {
        module: {
            target
            for name, _ in imports_of(tree)
            if name != "facefill.__version__"
            and module != "facefill"
            and (target := resolve(name, OURS))
            and target != module
        }
        for module, tree in trees.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_circles_inside_functions_either() -> None:
    assert circle_in(TREES) == []
    guilty = {
        f"facefill.{one}": ast.parse(f"def f():\n    import facefill.{other}\n")
        for one, other in (("config", "errors"), ("errors", "config"))
    }
    assert circle_in(guilty) != []


def load_house() -> Any:
    spec = importlib.util.spec_from_file_location("make_house", ROOT / "docs" / "make_house.py")
    assert spec is not None
    assert spec.loader is not None
    house = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(house)
    return house


def test_the_picture_of_the_house_is_true() -> None:
    house = load_house()
    assert {room for rooms in house.LAYERS for room in rooms} == set(LAYERS) - {"__main__", "__init__"}
    assert house.PICTURE.read_text(encoding="utf-8") == house.draw(house.direct(house.rooms_imported())), (
        "python docs/make_house.py"
    )


def test_the_table_of_lines_is_near_the_truth() -> None:
    """Within 5 %, or 100 lines."""
    house = load_house()
    rows = re.findall(r"^\| (\w+) \| [^|]* \| (\d+) \|$", house.PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    listed, counted = {room: int(lines) for room, lines in rows}, house.count_lines()
    counted["all"] = sum(counted.values())
    assert set(listed) == set(counted)
    far = [room for room, lines in counted.items() if abs(listed[room] - lines) > max(0.05 * lines, 100)]
    assert far == [], "python docs/make_house.py"


def test_torch_stays_out_of_the_rooms_that_photos_walk_through() -> None:
    guilty = [
        (module, name)
        for module, tree in TREES.items()
        if room_of(module) in WITHOUT_TORCH
        for name, inside in imports_of(tree)
        if name.split(".")[0] == "torch" and not inside
    ]
    assert guilty == []


def test_imaging_never_touches_torch_and_nets_never_touch_pictures() -> None:
    def outside(room: str) -> set[str]:
        return {
            name.split(".")[0]
            for module, tree in TREES.items()
            if room_of(module) == room
            for name, _ in imports_of(tree)
        }

    assert "torch" not in outside("imaging")
    assert not {"cv2", "PIL"} & outside("nets")


def test_methods_never_import_one_another() -> None:
    methods = {module for module in TREES if module.startswith("facefill.methods.")} - {"facefill.methods.base"}
    guilty = [
        (module, name)
        for module in methods
        for name, _ in imports_of(TREES[module])
        if resolve(name, OURS) in methods - {module}
    ]
    assert guilty == []


def test_the_core_works_without_scipy_which_is_as_large_as_opencv() -> None:
    assert [
        module for module, tree in TREES.items() for name, _ in imports_of(tree) if name.split(".")[0] == "scipy"
    ] == []


def test_torchvision_is_nowhere() -> None:
    names = {name.split(".")[0] for tree in TREES.values() for name, _ in imports_of(tree)}
    assert "torchvision" not in names
    assert "torchvision" not in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def unpickling(trees: dict[str, ast.Module]) -> list[str]:
    """Where something is unpickled; NumPy unpickles only where it is allowed to."""
    found = [
        module
        for module, tree in trees.items()
        for name, _ in imports_of(tree)
        if name.split(".")[0] in {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    ]
    for module, tree in trees.items():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            allowed = {word.arg for word in call.keywords if isinstance(word.value, ast.Constant) and word.value.value}
            bare = ast.unparse(call.func) == "torch.load" and "weights_only" not in allowed
            found += [module] if bare or "allow_pickle" in allowed else []
    return found


def test_nothing_is_unpickled() -> None:
    assert unpickling(TREES) == []
    guilty = ["import pickle", "torch.load(f)", "torch.load(f, weights_only=False)", "np.load(f, allow_pickle=True)"]
    assert len(unpickling({code: ast.parse(code) for code in guilty})) == len(guilty)


def test_a_photo_is_completed_without_torch_in_the_process() -> None:
    code = (
        "import sys, facefill, facefill.commands.cli, facefill.runtime.inpainter; facefill.METHODS;"
        "facefill.unmask;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_help_imports_nothing_heavy() -> None:
    heavy = ["numpy", "cv2", "PIL", "scipy", "openvino", "torch", "pydantic", "starlette", "ray"]
    code = f"import sys, facefill.commands.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_few_and_there() -> None:
    import facefill

    assert len(facefill.__all__) <= 10
    for name in facefill.__all__:
        assert getattr(facefill, name) is not None


def test_a_class_name_is_used_once_but_for_the_records_of_the_rest_api() -> None:
    names = [
        node.name.lstrip("_")
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and module != "facefill.server.schema"
    ]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_files_are_short() -> None:
    files = [*MODULES, *(ROOT / "tests").rglob("*.py")]
    long = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {path: lines for path, lines in long.items() if lines > 400} == {}


@pytest.mark.parametrize("module", sorted(TREES))
def test_functions_are_short(module: str) -> None:
    """Counted below the signature, whose lines the formatter chooses."""
    loop = ("facefill.training.train", "_train")
    long = [
        (node.name, node.end_lineno - node.body[0].lineno + 1)
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.body[0].lineno + 1 > (180 if (module, node.name) == loop else 50)
    ]
    assert long == []
