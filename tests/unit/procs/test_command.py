"""The procedure command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from jobqueue.procs._program import ProgramError
from jobqueue.procs.command import command
from tests.unit.procs.attempts import RecordingAttempt


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"cmd": 3}, TypeError, "cmd must be text or a list of texts, not int"),
        ({"cmd": None}, TypeError, "cmd must be text or a list of texts, not NoneType"),
        ({"cmd": ["ls", 3]}, TypeError, r"cmd\[1\] must be text, not int"),
        ({"cmd": ""}, ValueError, "cmd is empty"),
        ({"cmd": []}, ValueError, "cmd names no program"),
        ({"cmd": ["", "x"]}, ValueError, "cmd names no program"),
        ({"cmd": "a\0b"}, ValueError, "cmd holds a NUL"),
        ({"cmd": "ls", "env": ["A"]}, TypeError, "env must be a dict of texts, not list"),
        ({"cmd": "ls", "env": {"A": 3}}, TypeError, r"env\['A'\] must be text, not int"),
        ({"cmd": "ls", "env": {3: "A"}}, TypeError, "a name in env must be text, not int"),
        ({"cmd": "ls", "env": {"": "A"}}, ValueError, "a name in env is empty"),
        ({"cmd": "ls", "env": {"A=B": "C"}}, ValueError, "env has the name 'A=B'"),
        ({"cmd": "ls", "env": {"A": "\0"}}, ValueError, r"env\['A'\] holds a NUL"),
        ({"cmd": "ls", "outputs": 3}, TypeError, "outputs must be text or a list of texts, not int"),
        ({"cmd": "ls", "outputs": ["/a", 3]}, TypeError, r"outputs\[1\] must be text, not int"),
        ({"cmd": "ls", "outputs": ""}, ValueError, "outputs is empty"),
        ({"cmd": "ls", "outputs": ["/a", "b"]}, ValueError, r"outputs\[1\] is 'b'; it must be the absolute path of a"),
        ({"cmd": "ls", "outputs": "/a/"}, ValueError, r"outputs\[0\] is '/a/'; it must be the absolute path of a"),
        ({"cmd": "ls", "outputs": ["/a", "/a"]}, ValueError, r"outputs\[1\] is '/a', which is in the list already"),
        (
            {"cmd": "x {output3}", "outputs": ["/a", "/b"]},
            ValueError,
            r"cmd has {output3}, but there are only 2 outputs",
        ),
        ({"cmd": ["x", "{output2}"], "outputs": "/a"}, ValueError, r"cmd has {output2}, but there are only 1 outputs"),
        ({"cmd": "ls", "cwd": 3}, TypeError, "cwd must be text"),
        ({"cmd": "ls", "cwd": ""}, ValueError, "cwd is empty"),
    ],
)
def test_wrong_parameters_are_refused_by_name(parameters: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        command(**parameters)


def test_the_label_is_the_command_in_short() -> None:
    assert command("ls -l |\n wc").label == "ls -l | wc"
    assert command(["ls", "a b", "-l"]).label == "ls 'a b' -l"
    assert len(command("x" * 200).label or "") == 80


def test_text_is_run_by_the_shell_in_the_running_directory(attempt: RecordingAttempt) -> None:
    attempt.run(command("echo $((6 * 7)); pwd; echo to stderr >&2"))
    assert attempt.printed() == f"42\n{attempt.running_dir}\n"
    assert attempt.complained() == "to stderr\n"
    assert not attempt.failed


def test_a_list_is_run_without_a_shell(attempt: RecordingAttempt) -> None:
    attempt.run(command(["printf", "%s\n", "$HOME; `ls`", ""]))
    assert attempt.printed() == "$HOME; `ls`\n\n"


def test_environment_variables_are_added_to_the_workers(
    attempt: RecordingAttempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "worker")
    monkeypatch.setenv("KEPT", "worker")
    attempt.run(command("echo $OURS $KEPT $EMPTY.", env={"OURS": "job", "EMPTY": ""}))
    assert attempt.printed() == "job worker .\n"


def test_the_working_directory_can_be_chosen(attempt: RecordingAttempt, tmp_path: Path) -> None:
    attempt.run(command(["pwd"], cwd=str(tmp_path)))
    assert attempt.printed() == f"{tmp_path}\n"


def test_outputs_stand_in_a_shell_line_quoted_and_are_published(attempt: RecordingAttempt, tmp_path: Path) -> None:
    first, second = tmp_path / "it's 1.txt", tmp_path / "$2.txt"
    line = "printf one > {output}; printf two >> {output2}; cat {output1}; echo ${HOME+x} {a,b} {output0}; test ! -e "
    attempt.run(command(line + "'/tmp/it'", outputs=[str(first), str(second)]))
    assert (first.read_text(), second.read_text()) == ("one", "two")
    assert attempt.printed() == "onex {a,b} {output0}\n"


def test_outputs_stand_in_the_arguments_of_a_list_as_they_are(attempt: RecordingAttempt, tmp_path: Path) -> None:
    final = tmp_path / "it's 1.txt"
    attempt.run(command(["sh", "-c", 'echo "$1"; echo x > "${1#-o}"', "sh", "-o{output}"], outputs=str(final)))
    assert attempt.printed().startswith(f"-o{tmp_path}/.jq-")
    assert attempt.printed().endswith("/it's 1.txt\n")
    assert final.read_text() == "x\n"


def test_outputs_are_in_the_environment_too(attempt: RecordingAttempt, tmp_path: Path) -> None:
    line = "test $JOBQUEUE_OUTPUT = $JOBQUEUE_OUTPUT1 && echo $A > $JOBQUEUE_OUTPUT1 && echo 2 > $JOBQUEUE_OUTPUT2"
    attempt.run(command(line, env={"A": "1"}, outputs=[f"{tmp_path}/1", f"{tmp_path}/2"]))
    assert [(tmp_path / name).read_text() for name in "12"] == ["1\n", "2\n"]


def test_without_outputs_the_fields_are_left_alone(attempt: RecordingAttempt) -> None:
    attempt.run(command("echo {output} {output2}; test -z ${JOBQUEUE_OUTPUT+x}"))
    assert attempt.printed() == "{output} {output2}\n"


def test_an_exit_code_fails_the_job_and_is_told_with_the_last_line(attempt: RecordingAttempt) -> None:
    with pytest.raises(ProgramError) as caught:
        attempt.run(command("echo first >&2; echo; echo the disk is full >&2; echo >&2; echo out; exit 3"))
    assert str(caught.value).endswith(" ended with exit code 3: the disk is full")
    assert str(caught.value).startswith("echo first")
    assert attempt.status == ["exit code 3: the disk is full"]


def test_a_second_run_forgets_the_first_ones_lines(attempt: RecordingAttempt) -> None:
    proc = command("[ -e twice ] || echo first >&2; touch twice; exit 1")
    with pytest.raises(ProgramError, match="first"):
        attempt.run(proc)
    with pytest.raises(ProgramError, match="it printed nothing"):
        attempt.run(proc)


@pytest.mark.parametrize(
    ("cmd", "expected"),
    [
        ("kill -TERM $$", "ended with SIGTERM: "),
        ("sh -c 'kill -KILL $$'; exit $?", r"ended with exit code 137 \(SIGKILL\): "),
        (["sh", "-c", "kill -KILL $$"], "ended with SIGKILL: "),
        (["sh", "-c", "exit 137"], "ended with exit code 137: "),
    ],
)
def test_a_signal_is_told_by_its_name(attempt: RecordingAttempt, cmd: str | list[str], expected: str) -> None:
    with pytest.raises(ProgramError, match=expected):
        attempt.run(command(cmd))


def test_a_missing_program_is_named(attempt: RecordingAttempt) -> None:
    with pytest.raises(ProgramError, match=r"^no-such-program cannot be started on this host .*; install it, or give"):
        attempt.run(command(["no-such-program", "-x"]))
    with pytest.raises(ProgramError, match=r"ended with exit code 127: .*not found"):
        attempt.run(command("no-such-program -x"))


def test_a_missing_working_directory_is_named(attempt: RecordingAttempt) -> None:
    for cmd in ("true", ["true"]):
        with pytest.raises(ProgramError, match=r"^the directory /no/where \(cwd\) cannot be entered"):
            attempt.run(command(cmd, cwd="/no/where"))


def test_what_is_no_text_is_printed_all_the_same(attempt: RecordingAttempt) -> None:
    attempt.run(command([sys.executable, "-c", "import sys; sys.stdout.buffer.write(b'\\xff\\r\\n')"]))
    assert attempt.printed() == "\\xff\r\n"
