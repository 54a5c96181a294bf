"""createJobQueue and defaultJobQueueLocation."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

import jobqueue
from jobqueue.procs import BUILTIN
from jobqueue.share import Share


def test_a_queue_is_made_in_a_missing_directory(tmp_path: Path) -> None:
    assert jobqueue.createJobQueue(str(tmp_path / "queue")) is None  # type: ignore[func-returns-value]
    assert jobqueue.JobQueue(str(tmp_path / "queue")).listJobs() == []


def test_a_queue_is_made_in_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "queue").mkdir()
    jobqueue.createJobQueue(str(tmp_path / "queue"))
    assert jobqueue.JobQueue(str(tmp_path / "queue")).listJobs() == []


def test_no_queue_is_made_in_a_directory_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue" / "precious").write_text("data")
    with pytest.raises(ValueError, match="not empty"):
        jobqueue.createJobQueue(str(tmp_path / "queue"))
    assert os.listdir(tmp_path / "queue") == ["precious"]


def test_no_queue_is_made_where_there_is_one(queue_dir: Path) -> None:
    with pytest.raises(ValueError, match="not empty"):
        jobqueue.createJobQueue(str(queue_dir))


def test_no_queue_is_made_below_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the parent directory is missing"):
        jobqueue.createJobQueue(str(tmp_path / "missing" / "queue"))
    assert os.listdir(tmp_path) == []


def test_no_queue_is_made_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "queue").write_text("data")
    with pytest.raises(ValueError, match="there is a file of this name"):
        jobqueue.createJobQueue(str(tmp_path / "queue"))
    assert (tmp_path / "queue").read_text() == "data"


def test_of_two_who_make_a_queue_in_one_place_one_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both_have_looked = threading.Barrier(2)
    make_dir = Share.try_make_dir

    def together(share: Share, path: str) -> bool:
        both_have_looked.wait()
        return make_dir(share, path)

    monkeypatch.setattr(Share, "try_make_dir", together)
    said: list[str] = []

    def make() -> None:
        try:
            jobqueue.createJobQueue(str(tmp_path / "queue"))
            said.append("made")
        except ValueError as error:
            said.append(str(error))

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 2
    assert said.count("made") == 1
    assert jobqueue.JobQueue(str(tmp_path / "queue")).listJobs() == []


def test_of_two_who_make_a_queue_in_one_empty_directory_one_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Share.names
    location = tmp_path / "queue"
    location.mkdir()

    def with_another(share: Share, directory: str) -> list[str]:
        found = names(share, directory)
        monkeypatch.setattr(Share, "names", names)
        jobqueue.createJobQueue(str(location))
        return found

    monkeypatch.setattr(Share, "names", with_another)
    with pytest.raises(ValueError, match="another process is making a queue here"):
        jobqueue.createJobQueue(str(location))
    assert jobqueue.JobQueue(str(location)).listJobs() == []


def test_a_relative_location_is_meant_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    jobqueue.createJobQueue("queue")
    assert jobqueue.JobQueue("queue").location == str(tmp_path / "queue")


def test_the_default_procedures_are_ready_for_use(tmp_path: Path) -> None:
    jobqueue.createJobQueue(str(tmp_path / "queue"))
    queue = jobqueue.JobQueue(str(tmp_path / "queue"))
    assert set(BUILTIN) == {"command", "python", "dumpenv", "blender", "renderrib", "maya", "povray", "ffmpeg"}
    for root in (
        queue.createJobRoot("command", cmd="true"),
        queue.createJobRoot("python", function="os.path:basename", args=["/a/b"]),
        queue.createJobRoot("dumpenv"),
    ):
        job = root.activate()
        assert queue.runNextAvailableJob()
        assert job.isFinished()
        assert not job.hasError(), job.error
    queue.createJobRoot("blender", blendFile="scene.blend", frames="1-10")
    queue.createJobRoot("renderrib", ribFile="scene.rib")
    queue.createJobRoot("maya", sceneFile="scene.ma", frames="1-10")
    queue.createJobRoot("povray", sceneFile="scene.pov")
    queue.createJobRoot("ffmpeg", input="frame.%04d.png", output="movie.mp4")


def _places(root: jobqueue.JobHandle) -> list[str]:
    found = []
    for child in root.listSubJobs():
        found += [*_places(child), os.path.relpath(child.location, root.location)]
    return found


def test_sub_jobs_lie_in_one_another(queue_dir: Path) -> None:
    queue = jobqueue.JobQueue(str(queue_dir))
    root = queue.createJobRoot("noop")
    root.createJob("noop").createJob("noop")
    job = root.activate()
    while queue.runNextAvailableJob():
        pass
    (child,) = job.listSubJobs()
    (grandchild,) = child.listSubJobs()
    assert os.path.relpath(grandchild.location, job.location) == "job0/job0"
    assert Path(grandchild.runningDir).is_dir()
    assert Path(grandchild.runningDir).parent == Path(grandchild.location)


def test_with_keep_jobs_in_repository_sub_jobs_lie_flat(tmp_path: Path) -> None:
    jobqueue.createJobQueue(str(tmp_path / "queue"), keepJobsInRepository=True)
    queue = jobqueue.JobQueue(str(tmp_path / "queue"))
    root = queue.createJobRoot("command", cmd="true")
    first = root.createJob("command", cmd="true")
    first.createJob("command", cmd="true").createJob("command", cmd="true")
    root.createJob("command", cmd="true")
    job = root.activate()
    for _ in range(5):
        assert queue.runNextAvailableJob()
    assert job.isFinished()
    flat = Path(job.location) / ".jobs"
    locations, pending = [], job.listSubJobs()
    while pending:
        handle = pending.pop()
        locations.append(Path(handle.location))
        pending += handle.listSubJobs()
    assert len(set(locations)) == 4
    assert all(location.parent == flat and location.is_dir() for location in locations)
    assert not [name for name in os.listdir(job.location) if name.startswith("job")]


def _diamond(queue: jobqueue.JobQueue) -> jobqueue.JobHandle:
    """Two sub-jobs that both depend on a third, which lies in the first one's directory."""
    root = queue.createJobRoot("command", cmd="true")
    left = root.createJob("command", cmd="true")
    right = root.createJob("command", cmd="true")
    right.createJob("command", cmd="true", label="right's own")
    right.addDependency(left.createJob("command", cmd="true", label="shared"))
    return root.activate()


def test_with_symbolic_links_a_shared_sub_job_appears_in_each_parent(tmp_path: Path) -> None:
    jobqueue.createJobQueue(str(tmp_path / "queue"), useSymLinks=True)
    queue = jobqueue.JobQueue(str(tmp_path / "queue"))
    job = _diamond(queue)
    left, right = job.listSubJobs()
    shared = Path(left.listSubJobs()[0].location)
    (link,) = (path for path in Path(right.location).iterdir() if path.is_symlink())
    assert not os.path.isabs(os.readlink(link))
    assert Path(os.path.normpath(link.parent / os.readlink(link))) == shared
    while queue.runNextAvailableJob():
        pass
    assert link.resolve() == shared.resolve()
    assert {handle.location for handle in right.listSubJobs()} == {
        str(shared), str(Path(right.location) / "job0"),
    }  # fmt: skip


def test_nothing_depends_on_the_symbolic_links(tmp_path: Path) -> None:
    jobqueue.createJobQueue(str(tmp_path / "queue"), useSymLinks=True)
    queue = jobqueue.JobQueue(str(tmp_path / "queue"))
    job = _diamond(queue)
    links = [path for path in Path(job.location).rglob("*") if path.is_symlink()]
    assert links
    for link in links:
        link.unlink()
    for _ in range(5):
        assert queue.runNextAvailableJob()
    assert job.isFinished()
    assert not job.hasError(recursive=True)
    assert [child.label for child in job.listSubJobs()[1].listSubJobs()] == ["right's own", "shared"]


def test_without_the_setting_there_is_no_symbolic_link(queue_dir: Path) -> None:
    job = _diamond(jobqueue.JobQueue(str(queue_dir)))
    assert not [path for path in Path(job.location).rglob("*") if path.is_symlink()]


def test_the_default_location_is_the_environments(monkeypatch: pytest.MonkeyPatch, queue_dir: Path) -> None:
    monkeypatch.setenv("JOBQUEUE_QUEUE", str(queue_dir))
    assert jobqueue.defaultJobQueueLocation() == str(queue_dir)
    assert jobqueue.JobQueue(jobqueue.defaultJobQueueLocation()).location == str(queue_dir)


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_environment_there_is_no_default_location(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("JOBQUEUE_QUEUE", raising=False)
    if value is not None:
        monkeypatch.setenv("JOBQUEUE_QUEUE", value)
    assert jobqueue.defaultJobQueueLocation() is None
