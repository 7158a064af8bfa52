"""What a board may be called, and where its files are."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway import errors
from headway.engine.board import open_board
from headway.system import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def as_nobody(function: Callable[[], object]) -> bool:
    """Run a function in a forked child that is another user. Did it come to its end?"""
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            function()
            code = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


@pytest.fixture
def open_house() -> Iterator[Path]:
    """A directory that every user may enter and write to; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="headway-test-", ignore_cleanup_errors=True) as path:
        os.chmod(path, 0o777)
        yield Path(path)


def open_and_remove(name: str) -> None:
    """For boards that cannot be opened: should one be after all, then nothing of it stays."""
    open_board(name).remove(files=True)


# --- names


@pytest.mark.parametrize("name", ["a", "A-z_0.9", "_", "-", "-x", "a..b", "a.", "x" * 64, "0"])
def test_a_legal_name_is_taken_as_it_is(name: str) -> None:
    assert paths.check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "a/b", "/a", "../a", "a b", "ü", "😀", "x" * 65, "a\n", "a\0b", "\udc80", "a:b", "a\\b"],
)
def test_an_illegal_name_is_refused_and_named(name: str) -> None:
    with pytest.raises(ValueError, match="is not legal: use 1 to 64") as caught:
        paths.check_name(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", [None, 3, b"a", Path("a")])
def test_a_name_that_is_no_text_is_a_type_error(name: object) -> None:
    with pytest.raises(TypeError, match="must be a str"):
        paths.check_name(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["../x", ".x", "a/b", ""])
def test_opening_under_an_illegal_name_makes_nothing(name: str, headway_dir: Path) -> None:
    with pytest.raises(ValueError, match="is not legal"):
        open_and_remove(name)
    assert not headway_dir.exists()
    assert not headway_dir.with_name("x").exists()


def test_the_default_name_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_BOARD", "nightly.2")
    assert paths.default_name() == "nightly.2"


def test_an_illegal_name_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_BOARD", "../nightly")
    with pytest.raises(ValueError, match="is not legal"):
        paths.default_name()


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("train.py", "train"),
        ("/opt/my jobs/train all.py", "train-all"),
        ("/srv/app/__main__.py", "app"),
        ("", "python"),
        ("...", "python"),
        ("ümlaut.py", "mlaut"),
        ("日本.py", "python"),
        (".hidden.py", "hidden"),
        ("x" * 100 + ".py", "x" * 64),
    ],
)
def test_a_program_without_a_name_is_called_after_its_script(
    script: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [script])
    assert paths.default_name() == name
    assert paths.check_name(name) == name


@pytest.mark.parametrize("argv", [[], ["-c"], ["-m"], ["--"]])
def test_there_is_a_legal_default_name_without_a_script(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    assert paths.check_name(paths.default_name())
    monkeypatch.delattr(sys, "argv")  # embedded Pythons have none
    assert paths.check_name(paths.default_name())


# --- places


def test_headway_dir_comes_first_and_is_the_only_place(headway_dir: Path) -> None:
    assert paths.roots() == [headway_dir]
    assert paths.board_directory("a") == headway_dir / "a"
    assert not headway_dir.exists()


def test_a_relative_headway_dir_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADWAY_DIR", "here/boards")
    assert paths.board_directory("a", create=True) == tmp_path / "here" / "boards" / "a"


def test_a_relative_headway_dir_means_what_it_meant_when_it_was_first_used(
    board_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("first", "second"):
        (tmp_path / place).mkdir()
    monkeypatch.chdir(tmp_path / "first")
    monkeypatch.setenv("HEADWAY_DIR", f"boards-{board_name}")
    board = open_board(board_name)
    try:
        monkeypatch.chdir(tmp_path / "second")
        assert open_board(board_name) is board
        assert paths.roots() == [tmp_path / "first" / f"boards-{board_name}"]
    finally:
        board.remove(files=True)


def test_a_relative_headway_dir_in_a_folder_that_is_gone_is_named_with_the_remedy(
    board_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # (undone at the end)
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setenv("HEADWAY_DIR", f"here-{board_name}")
    with pytest.raises(errors.UnusableDirectory, match=f"HEADWAY_DIR=here-{board_name} is relative, and .* removed"):
        open_and_remove(board_name)


def test_without_it_boards_are_in_the_state_directory_of_the_user_and_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADWAY_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    first, fallback = paths.roots()
    assert first.parent == tmp_path / "state" / "headway"
    assert first.name == fallback.name
    assert re.fullmatch(r"[A-Za-z0-9._-]+", first.name)
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")  # to be ignored, says the specification
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert paths.roots()[0] == tmp_path / "home" / ".local" / "state" / "headway" / first.name
    monkeypatch.delenv("XDG_STATE_HOME")
    assert paths.roots()[0] == tmp_path / "home" / ".local" / "state" / "headway" / first.name


def test_looking_for_places_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tempfile` tries a temporary directory by writing to it, and fails where there is none."""

    def refused(*_: object) -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.delenv("HEADWAY_DIR")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "gettempdir", refused)
    before = tmp_path.stat().st_mtime_ns
    assert paths.roots()[1].parent == tmp_path / f"headway-{os.geteuid()}"
    assert paths.temporary() == str(tmp_path)
    assert tmp_path.stat().st_mtime_ns == before


def test_a_home_that_cannot_be_written_leads_to_one_place_per_user(
    board_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADWAY_DIR")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    board = open_board(board_name)
    try:
        assert board.directory.parent.parent == tmp_path / "tmp" / f"headway-{os.geteuid()}"
        assert paths.board_directory(board_name) == board.directory, "watchers look there too"
        assert open_board(board_name) is board
        place = board.directory
        while place != tmp_path / "tmp":
            assert mode_of(place) & 0o022 == 0, f"others may swap what is in {place}"
            place = place.parent
    finally:
        board.remove(files=True)


def test_a_board_is_found_where_it_is_even_when_the_home_can_be_written_again(
    board_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADWAY_DIR")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("HOME", "/dev/null")
    board = open_board(board_name)
    try:
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        assert open_board(board_name) is board
    finally:
        board.remove(files=True)


def test_without_a_temporary_directory_to_write_to_boards_of_the_home_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADWAY_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(os, "access", lambda *_: False)  # as on a read-only root
    board = paths.roots()[0] / "board"
    board.mkdir(parents=True)
    assert paths.board_directory("board") == board
    monkeypatch.setenv("TMPDIR", "/first")
    assert paths.temporary() == "/first"
    monkeypatch.delenv("TMPDIR")
    assert paths.temporary() == "/tmp"


@needs_root
def test_a_home_closed_to_the_user_leads_to_the_fallback(
    board_name: str, open_house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under a service user whose HOME is root's: not even looking into it is allowed."""
    closed = open_house / "home"
    closed.mkdir(mode=0o700)
    monkeypatch.delenv("HEADWAY_DIR")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(closed))
    monkeypatch.setattr(tempfile, "tempdir", str(open_house))

    def open_there() -> None:
        board = open_board(board_name)
        assert board.directory.is_relative_to(open_house / f"headway-{NOBODY}")
        board.remove(files=True)

    assert as_nobody(open_there)


# --- whose they are


@needs_root
def test_a_directory_of_another_user_is_refused(board_name: str, headway_dir: Path) -> None:
    (headway_dir / board_name).mkdir(parents=True)
    os.chown(headway_dir / board_name, NOBODY, NOBODY)
    with pytest.raises(errors.NotOwner, match=f"belongs to user {NOBODY}.*HEADWAY_DIR"):
        open_and_remove(board_name)
    assert list((headway_dir / board_name).iterdir()) == []
    os.chown(headway_dir, NOBODY, NOBODY)
    (headway_dir / board_name).rmdir()
    with pytest.raises(errors.NotOwner, match=f"belongs to user {NOBODY}"):
        open_and_remove(board_name)
    assert list(headway_dir.iterdir()) == []


@needs_root
def test_another_user_cannot_use_our_directory(
    board_name: str, open_house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = open_house / "ours"
    ours.mkdir(mode=0o755)
    monkeypatch.setenv("HEADWAY_DIR", str(ours))

    def refused() -> None:
        with pytest.raises((errors.NotOwner, PermissionError)):
            open_and_remove(board_name)

    assert as_nobody(refused)
    assert list(ours.iterdir()) == []


@needs_root
def test_a_fallback_that_somebody_else_made_first_is_refused(
    board_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under /tmp anybody can take the name before us, and could then swap what is in it."""
    monkeypatch.delenv("HEADWAY_DIR")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    squatted = tmp_path / f"headway-{os.geteuid()}"
    squatted.mkdir(mode=0o777)
    os.chown(squatted, NOBODY, NOBODY)
    try:
        with pytest.raises(errors.NotOwner, match=f"belongs to user {NOBODY}"):
            open_and_remove(board_name)
    finally:
        os.chown(squatted, os.geteuid(), -1)


# --- modes and links


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_everything_is_private_under_any_umask(
    umask: int, board_name: str, headway_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = headway_dir / "not" / "there" / "yet"
    monkeypatch.setenv("HEADWAY_DIR", str(deep))
    before = os.umask(umask)
    try:
        board = open_board(board_name)
        board.task("a").update()
    finally:
        os.umask(before)
    try:
        assert mode_of(board.directory) == 0o700
        assert {path.name for path in board.directory.iterdir()} == {"board.lock", "segment", "users.lock"}
        for path in board.directory.iterdir():
            assert mode_of(path) & 0o077 == 0, path
        assert mode_of(deep) == 0o700
        place = deep.parent
        while place != headway_dir.parent:  # those in between are not ours alone, but nobody may swap what is in them
            assert mode_of(place) & 0o722 == 0o700, f"{place} has mode {mode_of(place):o}"
            place = place.parent
        name = f"headway-{os.geteuid()}-{board_name}-{board._segment.uuid}"
        assert mode_of(Path("/dev/shm", name)) == 0o600
        assert mode_of(Path("/dev/shm", f"sem.{name}")) == 0o600
    finally:
        board.remove(files=True)


@needs_root
@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_an_ordinary_user_can_open_under_any_umask(
    umask: int, board_name: str, open_house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may enter directories without any permission; others may not."""
    monkeypatch.setenv("HEADWAY_DIR", str(open_house / "deep" / "er"))

    def open_there() -> None:
        os.umask(umask)
        board = open_board(board_name)
        board.task("a").update()
        board.close()
        board = open_board(board_name)
        view = board.get("a")
        assert view is not None
        assert view.count == 1
        board.remove(files=True)

    assert as_nobody(open_there)


def test_a_directory_that_others_can_enter_is_closed_to_them(board_name: str, headway_dir: Path) -> None:
    (headway_dir / board_name).mkdir(parents=True)
    (headway_dir / board_name).chmod(0o777)
    headway_dir.chmod(0o777)
    board = open_board(board_name)
    try:
        assert mode_of(headway_dir / board_name) == 0o700
        assert mode_of(headway_dir) == 0o700
    finally:
        board.remove(files=True)


def test_a_link_in_place_of_the_boards_directory_is_refused(board_name: str, headway_dir: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    headway_dir.mkdir()
    (headway_dir / board_name).symlink_to(elsewhere)
    with pytest.raises(errors.NotOwner, match="is not a directory"):
        open_and_remove(board_name)
    assert list(elsewhere.iterdir()) == []


def test_a_file_in_place_of_the_boards_directory_is_refused(board_name: str, headway_dir: Path) -> None:
    headway_dir.mkdir()
    (headway_dir / board_name).write_text("mine")
    with pytest.raises(errors.NotOwner, match="is not a directory"):
        open_and_remove(board_name)
    assert (headway_dir / board_name).read_text() == "mine"


def test_a_link_in_place_of_the_lock_is_not_followed(board_name: str, headway_dir: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    (headway_dir / board_name).mkdir(parents=True)
    (headway_dir / board_name / "board.lock").symlink_to(target)
    with pytest.raises(errors.NotOwner, match=r"board\.lock is a link.*remove it"):
        open_and_remove(board_name)
    assert target.read_text() == "precious"


def test_a_second_name_of_another_file_in_place_of_the_lock_is_not_written_to(
    board_name: str, headway_dir: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    target.chmod(0o644)
    (headway_dir / board_name).mkdir(parents=True)
    (headway_dir / board_name / "board.lock").hardlink_to(target)
    with pytest.raises(errors.NotOwner, match=r"board\.lock is a link.*remove it"):
        open_and_remove(board_name)
    assert (target.read_text(), mode_of(target)) == ("precious", 0o644)


def test_a_place_of_all_users_is_not_made_ours(board_name: str, headway_dir: Path) -> None:
    headway_dir.mkdir()
    headway_dir.chmod(0o1777)
    with pytest.raises(errors.NotOwner, match="HEADWAY_DIR"):
        open_and_remove(board_name)
    assert mode_of(headway_dir) == 0o1777


def test_a_path_with_spaces_and_foreign_letters_is_fine(
    board_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWAY_DIR", str(tmp_path / "my boards ü 😀"))
    board = open_board(board_name)
    try:
        assert board.directory == tmp_path / "my boards ü 😀" / board_name
        assert board._segment.directory == str(board.directory)
    finally:
        board.remove(files=True)
    assert not board.directory.exists()


# --- places that cannot be used


@pytest.fixture
def no_temporary_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a root that is mounted read-only, whole."""

    real = os.access
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(os, "access", lambda place, mode: str(place).count("/") > 2 and real(place, mode))


@pytest.mark.usefixtures("no_temporary_directory")
def test_a_chosen_directory_needs_no_temporary_one(board_name: str, headway_dir: Path) -> None:
    board = open_board(board_name)
    assert board.directory == headway_dir / board_name
    board.remove()


@pytest.mark.usefixtures("no_temporary_directory")
def test_a_home_that_can_be_used_needs_no_temporary_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, board_name: str
) -> None:
    monkeypatch.delenv("HEADWAY_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    board = open_board(board_name)
    assert tmp_path in board.directory.parents
    board.remove()


@pytest.mark.usefixtures("no_temporary_directory")
def test_without_any_place_the_error_names_the_variable_that_chooses_one(
    monkeypatch: pytest.MonkeyPatch, board_name: str
) -> None:
    monkeypatch.delenv("HEADWAY_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", "")
    monkeypatch.setenv("HOME", "nowhere")
    for use in (lambda: open_board(board_name), paths.roots):
        with pytest.raises(errors.UnusableDirectory, match="HEADWAY_DIR"):
            use()


@pytest.mark.parametrize("place", ["/proc/x", "/dev/null/x", "/sys/x"])
def test_a_directory_that_cannot_be_made_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, board_name: str, place: str
) -> None:
    monkeypatch.setenv("HEADWAY_DIR", place)
    with pytest.raises(errors.UnusableDirectory, match="HEADWAY_DIR") as refused:
        open_board(board_name)
    assert str(refused.value.filename).startswith(place)
    assert isinstance(refused.value, OSError)


def test_a_full_disk_is_told_with_the_directory(
    monkeypatch: pytest.MonkeyPatch, board_name: str, headway_dir: Path
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.NoSpace) as refused:
        open_board(board_name)
    assert refused.value.filename == str(headway_dir / board_name)


def test_a_link_of_this_user_as_the_chosen_directory_is_followed(
    board_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, link = tmp_path / "there", tmp_path / "link"
    there.mkdir(mode=0o700)
    link.symlink_to(there)
    monkeypatch.setenv("HEADWAY_DIR", str(link))
    assert paths.board_directory(board_name, create=True) == there / board_name


@needs_root
@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_chosen_directory_of_another_user_that_is_open_to_all_holds_one_of_our_own(
    mode: int, board_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a volume of a container, which belongs to root."""
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(mode)
    os.chown(volume, NOBODY, NOBODY)
    monkeypatch.setenv("HEADWAY_DIR", str(volume))
    made = paths.board_directory(board_name, create=True)
    assert made == volume / f"headway-{os.geteuid()}" / board_name
    assert mode_of(made.parent) == 0o700
    assert paths.board_directory(board_name) == made
    assert stat.S_IMODE(volume.stat().st_mode) == mode


@needs_root
def test_a_directory_that_another_user_made_in_a_shared_one_is_refused(
    board_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = tmp_path / "volume"
    squatted = volume / f"headway-{os.geteuid()}"
    squatted.mkdir(parents=True)
    volume.chmod(0o777)
    for path in (volume, squatted):
        os.chown(path, NOBODY, NOBODY)
    monkeypatch.setenv("HEADWAY_DIR", str(volume))
    with pytest.raises(errors.NotOwner, match=f"belongs to user {NOBODY}"):
        paths.board_directory(board_name, create=True)
