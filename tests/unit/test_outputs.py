"""Declaring outputs, making them last, and bringing them to their final names; without a worker."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from jobqueue.errors import JobStateError, OutputError
from jobqueue.names import RunningToken, is_temporary_of, temporary_name
from jobqueue.outputs import Outputs, noted, publish
from jobqueue.proc import JobProc
from jobqueue.share import NOT_PLAIN, Share, Stamp, UnsyncedError
from tests.support_share import Call, HookedShare, watched_calls
from tests.unit.procs.attempts import RecordingAttempt

__all__ = ["watched_calls"]

FOLDER = ".jq-4f0c12ab9d.3-12.0000004.2"


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    """The directory of the final names."""
    folder = tmp_path / "a shot"
    folder.mkdir()
    return folder


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    return declared_by(tmp_path)


def declared_by(tmp_path: Path, share: Share | None = None) -> Outputs:
    return Outputs(share or Share(), str(tmp_path / "queue"), FOLDER, str(tmp_path / "notes"))


def write(path: str, text: str) -> None:
    Path(path).write_text(text)


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_temporary_directory_is_named_after_the_process_and_the_attempt() -> None:
    token = RunningToken(job=12, node=4, attempt=2, move=5, charged=1, slot=3)
    assert temporary_name("anna-desk-4f0c12ab9d", token) == FOLDER


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (FOLDER, True),
        (".jq-x-12.0000004.2", True),
        (".jq-x-112.0000004.2", False),
        (".jq-x-12.0000004.12", False),
        (".jq-x-12.0000005.2", False),
        ("frames-12.0000004.2", False),
    ],
)
def test_a_temporary_directory_tells_whose_it_is(name: str, expected: bool) -> None:
    assert is_temporary_of(name, 12, 4, 2) is expected


# --- declaring --------------------------------------------------------------------------------------------------------


def test_the_path_to_write_to_lies_beside_the_final_one_and_has_its_name(outputs: Outputs, shot: Path) -> None:
    written = outputs.declare(f"{shot}/f 1.exr")
    assert written == f"{shot}/{FOLDER}/f 1.exr"
    assert os.listdir(shot) == [FOLDER]
    assert outputs.temporaries == [f"{shot}/{FOLDER}"]


def test_a_path_that_is_declared_twice_is_the_same_however_it_is_spelled(outputs: Outputs, shot: Path) -> None:
    paths = [f"{shot}/f.exr", f"{shot}/./f.exr", f"{shot}/../a shot//f.exr", f"/{shot}/f.exr"]
    assert {outputs.declare(path) for path in paths} == {f"{shot}/{FOLDER}/f.exr"}
    write(f"{shot}/{FOLDER}/f.exr", "whole")
    assert [output["path"] for output in outputs.sync()] == [f"{shot}/f.exr"]


def test_outputs_in_several_directories_have_one_directory_in_each(outputs: Outputs, shot: Path) -> None:
    (shot / "b").mkdir()
    for name in ("1", "2", "b/1"):
        outputs.declare(f"{shot}/{name}")
    assert outputs.temporaries == [f"{shot}/{FOLDER}", f"{shot}/b/{FOLDER}"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("f.exr", "a relative path lies in the job's runningDir, which is this attempt's own; give the absolute path"),
        ("", "a relative path"),
        ("{shot}/", "it names no file"),
        ("{shot}/.", "it names no file"),
        ("{shot}/..", "it names no file"),
        ("{shot}", "it is a directory; declare each file"),
        ("{shot}/none/f.exr", "the directory of an output is missing, seen from this host; make it"),
        ("{shot}/file/f.exr", "the directory of an output is missing, seen from this host; make it"),
        ("{queue}/job1/f.exr", "it lies in the queue; what belongs there is written into runningDir"),
        ("{queue}/../queue/f.exr", "it lies in the queue"),
        ("{shot}/.jq-x/f.exr", "it lies in an attempt's own directory"),
    ],
)
def test_what_cannot_be_an_output_is_refused(
    outputs: Outputs, tmp_path: Path, shot: Path, path: str, reason: str
) -> None:
    (tmp_path / "queue" / "job1").mkdir(parents=True)
    (shot / "file").touch()
    with pytest.raises(OutputError, match=reason):
        outputs.declare(path.format(shot=shot, queue=tmp_path / "queue"))


def test_a_directory_whose_name_begins_like_the_queues_is_none_of_it(outputs: Outputs, tmp_path: Path) -> None:
    (tmp_path / "queue-out").mkdir()
    assert outputs.declare(f"{tmp_path}/queue-out/f").startswith(f"{tmp_path}/queue-out/")


def test_after_the_end_nothing_can_be_declared(outputs: Outputs, shot: Path) -> None:
    before = outputs.declare(f"{shot}/1")
    outputs.close()
    with pytest.raises(JobStateError, match="the job has ended; outputs are declared while it runs"):
        outputs.declare(f"{shot}/2")
    assert outputs.declare(f"{shot}/1") == before


def test_a_forked_child_cannot_declare(outputs: Outputs, shot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(JobStateError, match="a child process that a job has forked cannot declare outputs"):
        outputs.declare(f"{shot}/1")


def test_a_second_thread_waits_for_the_first_one_to_make_the_directory(tmp_path: Path, shot: Path) -> None:
    noted_by: list[str] = []
    has_come = threading.Event()
    results: list[str] = []

    class Lock:
        """Tells that somebody wants it who does not get it."""

        def __init__(self) -> None:
            self._lock = threading.Lock()

        def __enter__(self) -> None:
            if not self._lock.acquire(blocking=False):
                has_come.set()
                self._lock.acquire()

        def __exit__(self, *_: object) -> None:
            self._lock.release()

    class Noting(Share):
        def append_once(self, path: str, data: bytes) -> None:
            noted_by.append(threading.current_thread().name)
            if len(noted_by) > 1:
                has_come.set()
                return
            second.start()
            assert has_come.wait(60)

    outputs = declared_by(tmp_path, Noting())
    outputs._lock = Lock()  # type: ignore[assignment]
    second = threading.Thread(target=lambda: results.append(outputs.declare(f"{shot}/2")), name="second")
    results.append(outputs.declare(f"{shot}/1"))
    second.join()
    assert noted_by == [threading.current_thread().name]
    assert sorted(results) == [f"{shot}/{FOLDER}/1", f"{shot}/{FOLDER}/2"]


@pytest.mark.usefixtures("watched_calls")
def test_a_directory_is_noted_before_it_is_made(tmp_path: Path, shot: Path) -> None:
    share = HookedShare()
    declared_by(tmp_path, share).declare(f"{shot}/1")
    names = [call.name for call in share.seen]
    assert names.index("write") < names.index("mkdir")
    assert noted(Share(), str(tmp_path / "notes"), 12, 4, 2) == [f"{shot}/{FOLDER}"]


def test_of_the_notes_only_this_attempts_directories_are_believed(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    outputs = declared_by(tmp_path)
    (tmp_path / "a").mkdir()
    outputs.open_folder(str(tmp_path / "a"))
    note = json.loads(notes.read_text())
    ours = note["noted_in"]
    others = [{"noted_in": ours, "temporary": name} for name in (3, "/home/me", "/a/.jq-x-12.0000004.1")]
    others += [{"noted_in": "2-0", "temporary": f"/a/{FOLDER}"}, {"temporary": f"/a/{FOLDER}"}]
    torn = ["3", "[]", "{}", "\xff", '{"temporary": "/b/' + FOLDER[:5]]
    notes.write_text("\n".join([*torn, *map(json.dumps, [*others, note]), torn[-1]]))
    assert noted(Share(), str(notes), 12, 4, 2) == [f"{tmp_path}/a/{FOLDER}"]
    assert noted(Share(), str(tmp_path / "none"), 12, 4, 2) == []
    assert noted(Share(), f"{notes}/below", 12, 4, 2) == []


@pytest.mark.parametrize("original", ["is there", "is gone"])
def test_what_was_noted_in_the_original_of_a_copy_is_not_the_copys(tmp_path: Path, shot: Path, original: str) -> None:
    """Whether it lies beside it, or was restored from it in its place."""
    (tmp_path / "original").mkdir()
    notes = tmp_path / "original" / "notes"
    Outputs(Share(), str(tmp_path / "queue"), FOLDER, str(notes)).declare(f"{shot}/1")
    shutil.copytree(notes.parent, tmp_path / "copy")
    assert noted(Share(), str(notes), 12, 4, 2) == [f"{shot}/{FOLDER}"]
    if original == "is gone":
        notes.parent.rename(tmp_path / "damaged")
        (tmp_path / "copy").rename(notes.parent)
        assert noted(Share(), str(notes), 12, 4, 2) == []
    else:
        assert noted(Share(), str(tmp_path / "copy" / "notes"), 12, 4, 2) == []


def test_of_a_snapshot_with_the_same_inodes_the_path_tells(
    tmp_path: Path, shot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Share, "inode", lambda *_: 257)
    for name in ("original", "copy"):
        (tmp_path / name).mkdir()
    Outputs(Share(), str(tmp_path / "queue"), FOLDER, str(tmp_path / "original/notes")).declare(f"{shot}/1")
    shutil.copy(tmp_path / "original" / "notes", tmp_path / "copy" / "notes")
    assert noted(Share(), str(tmp_path / "original" / "notes"), 12, 4, 2) == [f"{shot}/{FOLDER}"]
    assert noted(Share(), str(tmp_path / "copy" / "notes"), 12, 4, 2) == []


def test_a_program_may_name_its_files_itself(outputs: Outputs, shot: Path) -> None:
    folder = outputs.open_folder(f"{shot}/")
    assert folder == f"{shot}/{FOLDER}"
    for name in ("f2", "f1", ".nfs0001"):
        write(f"{folder}/{name}", name)
    assert outputs.adopt(f"{shot}") == [f"{shot}/f1", f"{shot}/f2"]
    assert [output["path"] for output in outputs.sync()] == [f"{shot}/f1", f"{shot}/f2"]


def test_outside_a_run_there_are_no_outputs() -> None:
    with pytest.raises(JobStateError, match=r"^JobProc\.output works only while the job runs$"):
        JobProc().output("/a")


def test_a_procedure_is_given_the_path_for_a_path_of_any_kind(tmp_path: Path, shot: Path) -> None:
    attempt, proc = RecordingAttempt(tmp_path), JobProc()
    proc._attach(attempt)
    written = proc.output(shot / "f.exr")
    assert written == proc.output(f"{shot}/f.exr")
    assert written.startswith(f"{shot}/.jq-")
    with pytest.raises(TypeError):
        proc.output(3)  # type: ignore[arg-type]


# --- making them last -------------------------------------------------------------------------------------------------


def test_the_record_names_each_output_with_its_size_and_time(outputs: Outputs, shot: Path) -> None:
    written = outputs.declare(f"{shot}/1")
    write(written, "whole")
    seen = os.stat(written)
    assert outputs.sync() == [
        {"path": f"{shot}/1", "temporary": f"{shot}/{FOLDER}", "size": 5, "mtime_ns": seen.st_mtime_ns}
    ]


def test_an_output_that_was_not_written_is_named(outputs: Outputs, shot: Path) -> None:
    write(outputs.declare(f"{shot}/1"), "whole")
    missing = outputs.declare(f"{shot}/2")
    with pytest.raises(OutputError) as caught:
        outputs.sync()
    assert str(caught.value) == (f"{shot}/2: it was declared as an output and not written; it belonged in {missing}")


@pytest.mark.parametrize("kind", ["directory", "link", "dangling", "fifo"])
def test_an_output_that_is_no_plain_file_is_named(outputs: Outputs, shot: Path, kind: str) -> None:
    written = Path(outputs.declare(f"{shot}/1"))
    (shot / "else").touch()
    if kind == "directory":
        written.mkdir()
    elif kind == "fifo":
        os.mkfifo(written)
    else:
        written.symlink_to(shot / ("else" if kind == "link" else "nothing"))
    with pytest.raises(OutputError, match=r"was declared as an output, but .* is no plain file"):
        outputs.sync()


@pytest.mark.usefixtures("watched_calls")
def test_an_output_that_may_only_be_read_is_synced_too(tmp_path: Path, shot: Path) -> None:
    share = HookedShare()
    outputs = declared_by(tmp_path, share)
    write(outputs.declare(f"{shot}/1"), "whole")

    refused: list[str] = []

    def hook(call: Call, do: Any) -> Any:
        if call.name == "open" and call.args[1] & os.O_RDWR:
            refused.append(call.args[0])
            raise PermissionError(errno.EACCES, "on purpose")
        return do()

    share.hook = hook
    assert outputs.sync()[0]["size"] == 5
    # SMB: it would be synced for nothing if it was not opened for writing where that can be.
    assert refused == [f"{shot}/{FOLDER}/1"]
    assert share.count("fsync") == 3


@pytest.mark.usefixtures("watched_calls")
def test_file_and_directories_are_synced_before_the_record(tmp_path: Path, shot: Path) -> None:
    share = HookedShare()
    opened: dict[int, str] = {}
    synced: list[str] = []

    def hook(call: Call, do: Any) -> Any:
        answer = do()
        if call.name == "open" and isinstance(answer, int):
            opened[answer] = str(call.args[0])
        elif call.name == "fsync":
            synced.append(opened[call.args[0]])
        return answer

    outputs = declared_by(tmp_path, share)
    write(outputs.declare(f"{shot}/1"), "whole")
    share.hook = hook
    record = {"outputs": outputs.sync()}
    assert synced == [f"{shot}/{FOLDER}/1", f"{shot}/{FOLDER}", str(shot)]
    synced.clear()
    assert publish(share, record) is None
    assert synced == [str(shot)]


@pytest.mark.usefixtures("watched_calls")
def test_a_sync_that_fails_may_have_lost_what_was_written(tmp_path: Path, shot: Path) -> None:
    share = HookedShare()
    outputs = declared_by(tmp_path, share)
    write(outputs.declare(f"{shot}/1"), "whole")

    def hook(call: Call, do: Any) -> Any:
        if call.name == "fsync":
            raise OSError(errno.EIO, "on purpose")
        return do()

    share.hook = hook
    with pytest.raises(UnsyncedError) as caught:
        outputs.sync()
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, f"{shot}/{FOLDER}/1")


@pytest.mark.usefixtures("watched_calls")
def test_a_name_that_a_client_takes_for_missing_is_looked_for_in_a_listing(tmp_path: Path) -> None:
    share = HookedShare()
    (tmp_path / "f").write_text("whole")
    refused = iter([True, False])

    def hook(call: Call, do: Any) -> Any:
        if call.name == "open" and str(call.args[0]).endswith("/f") and next(refused):
            raise FileNotFoundError(errno.ENOENT, "on purpose")
        return do()

    share.hook = hook
    stamp = share.stamp(str(tmp_path), "f")
    assert stamp is not None
    assert stamp.size == 5


def test_what_is_missing_or_no_file_has_no_stamp(tmp_path: Path) -> None:
    share = Share()
    (tmp_path / "d").mkdir()
    (tmp_path / "f").touch()
    assert share.stamp(str(tmp_path), "none") is None
    assert share.stamp(f"{tmp_path}/none", "none") is None
    assert share.stamp(f"{tmp_path}/f", "none") is None
    assert share.stamp(str(tmp_path), "d") == NOT_PLAIN


# --- publishing -------------------------------------------------------------------------------------------------------


def sealed(outputs: Outputs, final: Path, text: str = "whole") -> dict[str, Any]:
    """A record with one output."""
    write(outputs.declare(str(final)), text)
    return {"ok": True, "outputs": outputs.sync(), "temporaries": outputs.temporaries}


def test_publishing_replaces_what_is_there_and_can_be_repeated(outputs: Outputs, shot: Path) -> None:
    (shot / "1").write_text("old")
    record = sealed(outputs, shot / "1")
    for _ in range(2):
        assert publish(Share(), record) is None
        assert (shot / "1").read_text() == "whole"


def test_a_final_name_that_is_a_link_is_replaced_and_what_it_shows_to_stays(outputs: Outputs, shot: Path) -> None:
    (shot / "master").write_text("old")
    (shot / "1").symlink_to(shot / "master")
    assert publish(Share(), sealed(outputs, shot / "1")) is None
    assert (shot / "master").read_text() == "old"
    assert not (shot / "1").is_symlink()


def test_neither_source_nor_target_is_told(outputs: Outputs, shot: Path) -> None:
    record = sealed(outputs, shot / "1")
    (shot / FOLDER / "1").unlink()
    why = f"neither {shot}/1 nor {shot}/{FOLDER}/1 is the file that the job has written"
    assert publish(Share(), record) == why
    # Another file of that name is not taken for it, however it came there.
    for text in ("other", "longer than whole"):
        (shot / "1").write_text(text)
        assert publish(Share(), record) == why
        assert (shot / "1").read_text() == text
    (shot / "1").write_text("whole")
    os.utime(shot / "1", ns=(0, record["outputs"][0]["mtime_ns"]))
    assert publish(Share(), record) is None


def test_a_source_that_was_changed_since_is_not_published(outputs: Outputs, shot: Path) -> None:
    record = sealed(outputs, shot / "1")
    assert publish(Share(), record) is None
    # A process that the job has left behind goes on writing.
    (shot / FOLDER / "1").write_text("to")
    assert publish(Share(), record) is None
    assert (shot / "1").read_text() == "whole"


def test_a_final_name_that_has_become_a_directory_is_told(outputs: Outputs, shot: Path) -> None:
    record = sealed(outputs, shot / "1")
    (shot / "1").mkdir()
    with pytest.raises(IsADirectoryError):
        publish(Share(), record)
    assert (shot / FOLDER / "1").read_text() == "whole"


@pytest.mark.usefixtures("watched_calls")
@pytest.mark.parametrize("is_executed", [True, False])
@pytest.mark.parametrize("number", [errno.ENOENT, errno.EIO, errno.ESTALE, errno.EBUSY])
def test_an_ambiguous_answer_is_looked_after(outputs: Outputs, shot: Path, number: int, is_executed: bool) -> None:
    (shot / "1").write_text("old")
    record = sealed(outputs, shot / "1")
    share = HookedShare()
    left = iter([True])

    def hook(call: Call, do: Any) -> Any:
        if call.name == "rename" and next(left, False):
            if is_executed:
                do()
            raise OSError(number, "on purpose")
        return do()

    share.hook = hook
    assert publish(share, record) is None
    assert (shot / "1").read_text() == "whole"


@pytest.mark.usefixtures("watched_calls")
@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC])
def test_an_error_that_stays_is_raised_and_the_old_file_is_there(outputs: Outputs, shot: Path, number: int) -> None:
    (shot / "1").write_text("old")
    record = sealed(outputs, shot / "1")
    share = HookedShare()

    def hook(call: Call, do: Any) -> Any:
        if call.name == "rename":
            raise OSError(number, "on purpose")
        return do()

    share.hook = hook
    with pytest.raises(OSError, match="on purpose"):
        publish(share, record)
    assert (shot / "1").read_text() == "old"


def test_a_stamp_is_of_size_and_time(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("abc")
    os.utime(tmp_path / "f", ns=(0, 123_456_789_012_345_678))
    assert Share().stamp(str(tmp_path), "f") == Stamp(3, 123_456_789_012_345_678)
