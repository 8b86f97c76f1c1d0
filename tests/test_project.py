"""The project's own promises: files that must agree, notebooks in pairs, imports in one direction,
an instant `import obvlib`.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import build
import check
import install
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
REFERENCES = (ROOT / "book/references.bib").read_text()
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.md"))
MODULES = sorted((ROOT / "obvlib").rglob("*.py"))

# Data flows one way: a room imports only from those before it, and training and evaluation never
# from each other.
ROOMS = (
    "core scoring engine media llm mini manifests encoders curation slicing inputs models training"
    " evaluation report widgets recipes cli"
).split()
APART = {("scoring", room) for room in ROOMS[1:]} | {
    ("evaluation", "training"),
    ("slicing", "curation"),
}
# Everything else reads and writes video through PyAV, whose wheels carry ffmpeg's libraries.
MAY_CALL_FFMPEG = {"cli", "manifests"}
HEAVY = {
    "torch",
    "transformers",
    "av",
    "ray",
    "datasets",
    "numpy",
    "PIL",
    "matplotlib",
    "ipywidgets",
    "pandas",
}


def locked() -> dict[str, Version]:
    pins = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    return {name.lower(): Version(version) for name, version in pins}


def requirements(extras: str) -> list[Requirement]:
    wanted = PYPROJECT["project"]["dependencies"] + [
        line for name in extras.split(",") for line in EXTRAS[name]
    ]
    return [Requirement(line) for line in wanted]


def conda_packages() -> tuple[dict[str, str], list[str]]:
    """environment.yml's conda packages with their versions, and the lines that it hands to pip."""
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    names = [entry.partition("=") for entry in listed if isinstance(entry, str)]
    pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    return {name: version for name, _, version in names}, pip


def test_lock_satisfies_every_requirement():
    pins = locked()
    for requirement in requirements(install.EXTRAS):
        version = pins.get(requirement.name.lower())
        assert version is not None, f"{requirement} is missing from requirements.lock: make lock"
        assert version in requirement.specifier, f"{requirement} but locked {version}: make lock"


def test_lock_names_no_index_and_hashes_every_package():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text and "--index-url" not in text and "--find-links" not in text
    entries = re.split(
        r"\n(?=[\w])",
        "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")),
    )
    assert all("--hash=sha256:" in entry for entry in entries if "==" in entry)


def test_lock_holds_the_versions_that_are_pinned_on_purpose():
    import lock

    for pin in lock.PINS:
        name, _, version = pin.partition("==")
        assert locked()[name] == Version(version)


def test_environment_holds_python_pip_ffmpeg_and_the_project_only():
    packages, pip = conda_packages()
    assert set(packages) == {"python", "pip", "ffmpeg"}
    assert (
        packages["python"]
        in Requirement("python" + PYPROJECT["project"]["requires-python"]).specifier
    )
    (line,) = pip
    extras = re.fullmatch(r"-e \.\[([\w,]+)\]", line).group(1).split(",")
    assert set(install.EXTRAS.split(",")) <= set(extras) <= set(EXTRAS)


def test_every_package_of_obvlib_is_in_the_wheel():
    listed = PYPROJECT["tool"]["setuptools"]["packages"]
    there = {".".join(path.parent.relative_to(ROOT).parts) for path in MODULES}
    assert set(listed) == there | {"obvlib.data_manifests"}


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    found = re.search(r'__version__ = "(.+)"', (ROOT / "obvlib/__init__.py").read_text()).group(1)
    assert PYPROJECT["project"]["version"] == citation["version"] == found


def test_the_book_needs_no_ffmpeg_program():
    """The program's name as a string is the sign of calling it; PyAV needs no such string."""
    for path in MODULES:
        if path.relative_to(ROOT / "obvlib").parts[0].removesuffix(".py") not in MAY_CALL_FFMPEG:
            strings = [
                node.value
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Constant)
            ]
            assert "ffmpeg" not in strings, f"{path} calls the ffmpeg program: go through PyAV"


MAX_PARAMETERS = 7
# Differentiable functions and kernels: each tensor and pointer is an argument of its own, and
# callers are other functions of the same file or a library.
KERNELS = [
    ROOT / "obvlib" / name
    for name in (
        *("models/attention.py", "models/kernels.py", "models/packed_layers.py"),
        *("models/rotary.py", "models/rotary_kernel.py", "training/master_kernel.py"),
    )
]


def test_no_function_takes_more_than_seven_things():
    """What travels together is a dataclass. A command's options are listed one by one, also those
    of `inspect`, which is a command in a notebook.
    """
    long = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in MODULES
        for name, is_command, num in functions_of(path)
        if num > MAX_PARAMETERS and not is_command and name != "inspect"
    ]
    assert [line for line in long if ROOT / line.partition(":")[0] not in KERNELS] == []
    assert all(path.is_file() for path in KERNELS)


def functions_of(path: Path) -> Iterator[tuple[str, bool, int]]:
    """Yield the name of each function, whether it is a command, and how many parameters it has."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            given = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            num = sum(arg.arg not in ("self", "cls") for arg in given)
            decorated = [ast.unparse(decorator) for decorator in node.decorator_list]
            yield node.name, any(".command(" in text for text in decorated), num


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "obvlib").parts[0].removesuffix(".py")


def imported_names(path: Path) -> Iterator[tuple[str, str]]:
    """(room, name) for everything of other rooms that a module of obvlib imports, at its top or
    inside functions.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("obvlib.") for alias in node.names), (
                f"{path}: use from obvlib.room import name"
            )
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "obvlib":
            _, *parts = node.module.split(".")
            for alias in node.names:
                room = parts[0] if parts else alias.name
                if room != room_of(path):
                    yield room, alias.name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "obvlib")))
def test_data_flows_one_way(path):
    if room_of(path) != "__init__":
        for room, name in imported_names(path):
            assert (
                ROOMS.index(room) < ROOMS.index(room_of(path))
                and (room_of(path), room) not in APART
            )
            assert not name.startswith("_"), f"{name} is private to {room}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "obvlib")))
def test_modules_are_documented_and_short(path):
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), f"{path} lacks a docstring"
    assert len(text.splitlines()) <= 300


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "obvlib")))
def test_nothing_is_defined_inside_a_function_and_no_module_keeps_state(path):
    assert hidden_definitions(path.read_text()) == []


def hidden_definitions(text: str) -> list[str]:
    """Names that a function or class of a module is defined inside a function under, and those of
    its variables that a function changes.
    """
    tree = ast.parse(text)
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    targets = [
        target
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    kept = {target.id for target in targets if isinstance(target, ast.Name)}
    found = []
    for function in functions:
        inside = [node for node in ast.walk(function) if node is not function]
        # a name that the function assigns itself is its own
        own = {n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        for node in inside:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.append(node.name)
            elif isinstance(node, ast.Global):
                found += node.names
            elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(
                node.value, ast.Name
            ):
                changes = not isinstance(node.ctx, ast.Load) or (
                    isinstance(node, ast.Attribute) and node.attr in CHANGING
                )
                if changes and node.value.id in kept - own:
                    found.append(node.value.id)
    return found


CHANGING = {
    "add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove",
    "setdefault", "update",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SEEN = {}\ndef f(x):\n    SEEN[x] = 1\n", ["SEEN"]),
        ("SEEN = []\ndef f(x):\n    SEEN.append(x)\n", ["SEEN"]),
        ("LAST = 0\ndef f(x):\n    global LAST\n    LAST = x\n", ["LAST"]),
        ("def f():\n    def g():\n        pass\n", ["g"]),
        ("def f():\n    class C:\n        pass\n", ["C"]),
        ("SIZES = {1: 2}\ndef f(x):\n    return SIZES[x], SIZES.get(x)\n", []),
        ("SEEN = []\ndef f(x):\n    SEEN = []\n    SEEN.append(x)\n", []),
        ("class C:\n    def f(self):\n        self.x = 1\n", []),
    ],
)
def test_hidden_definitions_and_changed_variables_are_found(text, found):
    assert hidden_definitions(text) == found


THIRD_PERSON = re.compile(
    r"(Adds|Builds|Checks|Computes|Draws|Finds|Gives|Loads|Makes|Opens|Raises|Reads|Returns|Runs"
    r"|Saves|Says|Takes|Tells|Turns|Writes|Yields)\b"
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "obvlib")))
def test_docstrings_of_functions_say_return_and_not_returns(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            said = ast.get_docstring(node) or ""
            assert not THIRD_PERSON.match(said), f"{path.name}, {node.name}: {said[:40]}"


def test_no_room_is_exempt_from_the_type_checker():
    """The overrides are of libraries, whose sources are not read: their types are Any here."""
    for override in PYPROJECT["tool"]["mypy"]["overrides"]:
        assert set(override) == {"module", "follow_imports"}
        assert not [name for name in override["module"] if name.startswith("obvlib")]


def test_import_is_instant_and_light():
    code = (
        "import time, sys; t = time.perf_counter(); import obvlib; print(time.perf_counter() - t,"
        " *sys.modules)"
    )
    seconds, *modules = subprocess.check_output(
        [sys.executable, "-c", code], text=True, cwd=ROOT
    ).split()
    assert float(seconds) < 0.5
    assert not HEAVY & set(modules)


def test_help_of_the_command_loads_no_heavy_module():
    code = (
        "import sys; sys.argv = ['obv', '--help']; from obvlib.cli import app;"
        " app(standalone_mode=False); print(*sys.modules)"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT)
    assert "doctor" in printed
    assert not (HEAVY - {"numpy"}) & set(printed.splitlines()[-1].split())


def test_toc_lists_every_notebook_and_only_those():
    assert sorted(build.toc_notebooks(ROOT)) == NOTEBOOKS


def test_book_pages_of_the_toc_exist():
    toc = yaml.safe_load((ROOT / "book/_toc.yml").read_text())
    names = [toc["root"]] + [
        chapter["file"] for part in toc["parts"] for chapter in part["chapters"]
    ]
    assert [name for name in names if not (ROOT / f"{name}.md").is_file()] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_paired_hold_no_outputs_and_fit_the_page(path):
    assert check.notebook_faults(path) == []


FRAME = (
    "**What you will do**", "**What you will learn**", "**What you need**", "## Recap",
    "## Exercises", "## What the paper did, what we do differently, and why", "## Further reading",
)  # fmt: skip


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_chapter_has_every_part_of_the_frame_in_order(path):
    text = path.read_text()
    places = [text.find(part) for part in FRAME]
    assert -1 not in places and places == sorted(places), dict(zip(FRAME, places, strict=True))
    assert "{cite" in text[places[-1] :]


def test_every_reference_is_cited_and_says_where_it_appeared():
    pages = [*NOTEBOOKS, *(ROOT / "book").glob("*.md")]
    cited = set(re.findall(r"\{cite[:a-z]*\}`([\w-]+)`", "".join(p.read_text() for p in pages)))
    entries = re.findall(r"^@\w+\{([\w-]+),(.*?)^\}", REFERENCES, re.MULTILINE | re.DOTALL)
    assert {key for key, _ in entries} == cited
    for key, fields in entries:
        names = set(re.findall(r"^\s+(\w+)\s*=", fields, re.MULTILINE))
        assert {"title", "author", "year"} <= names, key
        assert names & {"journal", "booktitle", "howpublished", "url", "doi", "note"}, key


def test_every_break_that_contributing_names_is_a_test():
    named = re.findall(r"`(test_\w+)`", (ROOT / "CONTRIBUTING.md").read_text())
    there = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert named and [name for name in named if f"def {name}(" not in there] == []


def test_derived_notebooks_have_a_source():
    assert [
        path.name
        for path in (ROOT / "notebooks").glob("*.ipynb")
        if not path.with_suffix(".md").is_file()
    ] == []
