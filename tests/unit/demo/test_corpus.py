"""The files to index, in packages."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from headway import errors
from headway.demo.corpus import FILES_MOST, MODULES_AT_ONCE, packages, standard_library

if TYPE_CHECKING:
    from pathlib import Path


def test_the_standard_library_is_a_hundred_packages_or_so() -> None:
    root = standard_library()
    found = packages(root)
    files = [file for package in found for file in package.files]
    assert 50 <= len(found) <= 200
    assert len(files) == len(set(files)) > 500  # Debian leaves out the tests of the library
    assert "json/decoder.py" in files
    assert not [file for file in files if "site-packages" in file]
    assert len({package.id for package in found}) == len(found)
    assert max(len(package.files) for package in found) <= FILES_MOST
    assert [package.bytes for package in found] == sorted((package.bytes for package in found), reverse=True)


def test_every_file_is_in_one_package_and_modules_stand_together(tmp_path: Path) -> None:
    for name in ("small/a.py", "small/deep/b.py", "__pycache__/c.py", ".git/d.py", "notes.txt", "lone.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    for number in range(MODULES_AT_ONCE * 2 + 1):
        (tmp_path / "large" / "sub").mkdir(parents=True, exist_ok=True)
        (tmp_path / "large" / f"m{number:03}.py").write_text("x = 1\n")
    (tmp_path / "large" / "sub" / "e.py").write_text("x = 1\n")
    (tmp_path / "link.py").symlink_to("lone.py")
    found = {package.id: package.files for package in packages(tmp_path)}
    assert found["small"] == ("small/a.py", "small/deep/b.py")
    assert found["lone"] == ("lone.py",)
    assert found["large/sub"] == ("large/sub/e.py",)
    assert set(found) == {"small", "lone", "large/sub", "large/m000..m023", "large/m024..m047", "large/m048"}


def test_file_names_that_no_id_can_be_get_one_of_their_own(tmp_path: Path) -> None:
    names = [b"\xff\xfe", b"x" * 200 + b"1", b"x" * 200 + b"2", "é".encode() * 90]
    for name in names:
        os.mkdir(os.path.join(os.fsencode(tmp_path), name))
        with open(os.path.join(os.fsencode(tmp_path), name, b"a.py"), "w") as file:
            file.write("x = 1\n")
    ids = [package.id for package in packages(tmp_path)]
    assert len(set(ids)) == len(names)
    assert all(1 <= len(id.encode()) <= 80 for id in ids)


def test_a_folder_without_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.HeadwayError, match=r"no \.py file below .*--source"):
        packages(tmp_path)
