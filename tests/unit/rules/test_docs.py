"""What the pages say is so: links lead somewhere, code runs, commands exist, and nothing speaks of this workplace."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import headway
from headway import errors
from headway.process.launch import GUARD

if TYPE_CHECKING:
    from tests.conftest import RunPython

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in ("build", "node_modules") for part in path.relative_to(ROOT).parts)
)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _anchors(file: Path) -> set[str]:
    return {_anchor(line) for line in re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(target)
    assert not broken


def test_the_programs_of_the_readme_run(run_python: RunPython) -> None:
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert programs
    for program in programs:
        finished = run_python(program + "\n    board.remove(files=True)\n")
        assert not finished.stderr


@pytest.mark.parametrize(("page", "count"), [("native", 2), ("api", 8)])
def test_the_programs_of_a_page_run(page: str, count: int, tmp_path: Path, run_python: RunPython) -> None:
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(), re.DOTALL)
    assert len(programs) == count
    for program in programs:
        finished = run_python(program, env={"HEADWAY_DIR": str(tmp_path / "boards"), "HEADWAY_BARS": "0"})
        assert not finished.stderr


def test_the_whole_programs_of_the_page_on_other_libraries_run(tmp_path: Path, run_python: RunPython) -> None:
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "integrations.md").read_text(), re.DOTALL)
    whole = [program for program in programs if "__main__" in program]
    assert whole
    for program in whole:
        finished = run_python(program, env={"HEADWAY_DIR": str(tmp_path / "boards"), "HEADWAY_BARS": "0"})
        assert not finished.stderr


def _members(kind: type) -> set[str]:
    """The public attributes and methods of a class, but for the ways to make one of native records."""
    fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    return {name for name in {*dir(kind), *fields} - {"from_raw", "of"} if not name.startswith("_")}


def test_the_page_on_the_api_has_every_public_name() -> None:
    sections = re.split(r"^## ", (ROOT / "docs" / "api.md").read_text(), flags=re.MULTILINE)
    texts = {section.partition("\n")[0]: section for section in sections}
    words = {title: " ".join(re.findall(r"`([^`\n]+)`", text)) for title, text in texts.items()}
    names = {title: set(re.findall(r"[A-Za-z_]+", text)) for title, text in words.items()}
    assert not {*headway.__all__, "errors"} - names["# The API"]
    assert not _members(headway.Board) - names["Boards"]
    assert not _members(headway.Task) - names["Tasks"]
    for view in (headway.BoardView, headway.TaskView, headway.WorkerView):
        assert not _members(view) - names["Views"]
    assert not set(errors.__all__) - names["Errors"]
    sources = (path.read_text() for path in (ROOT / "src" / "headway").rglob("*.py"))
    variables = {name for source in sources for name in re.findall(r"\bHEADWAY_[A-Z_]+\b", source)}
    assert variables - {GUARD} == {name for name in names["Environment"] if name.startswith("HEADWAY_")}


@pytest.mark.parametrize("name", ["rooms", "commands"])
def test_a_table_that_is_made_from_the_code_is_up_to_date(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from docs import tables

    page, _ = tables.TABLES[name]
    assert page.read_text() == tables.written(name), "write it with: python -m docs.tables"


def test_the_scripts_that_the_pages_name_exist() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "ARCHITECTURE.md"):
        for script in re.findall(r"`(\.?ci/[a-z]+(?:\.py)?)", page.read_text()):
            assert (ROOT / script).is_file(), f"{page.name} names {script}"


def test_the_files_that_pages_and_scripts_name_exist() -> None:
    path = re.compile(
        r"(?<![\w./-])(?:benchmarks|ci|docs|examples|src|tests|web)/[\w/-]+\.(?:c|h|md|py|pyi|pyx|pxd|ts|tsx)\b"
    )
    texts = [*PAGES, ROOT / ".ci" / "run", *(file for file in (ROOT / "ci").iterdir() if file.is_file())]
    texts += [ROOT / "tests" / "faults" / "rows.py"]
    wrong = [
        f"{text.relative_to(ROOT)} names {name}"
        for text in texts
        for name in path.findall(text.read_text())
        if not (ROOT / name).exists()
    ]
    assert not wrong
