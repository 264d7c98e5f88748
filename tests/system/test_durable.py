"""Laws of runs that are killed, of disks that refuse, and of two runs at once."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from seednb.cli.__main__ import main
from seednb.core.errors import SeedError
from seednb.core.files import Journal, append_lines, cut_torn_end, locked, write_json
from seednb.core.stage import Stage
from seednb.experiments import experiment
from seednb.experiments.experiment import Experiment
from seednb.method.recipes import RECIPES
from seednb.report import pipeline
from seednb.report.execution import execute, execute_all

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "params/smoke.yaml"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def lives(tmp_path_factory):
    """What tests/killing.py found; one process that forks, so that nothing is imported twice."""
    command = [sys.executable, str(ROOT / "tests/killing.py"), str(tmp_path_factory.mktemp("k"))]
    run = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("job", ["train", "cache"])
def test_a_training_that_is_killed_again_and_again_ends_at_the_same_bytes(lives, job):
    found = lives[job]
    assert found["lives"].count("killed") >= 4 and found["lives"][-1] == "done"
    assert found["identical"] and found["left"] == []


@pytest.mark.slow
def test_a_disk_that_refuses_a_checkpoint_is_a_sentence_and_the_one_before_stays_valid(lives):
    for job in ("train", "cache"):
        (said,) = set(lives[job]["lives"]) - {"killed", "done"}
        assert "step-0000" in said and "cannot be written" in said and "File too large" in said
        assert lives[job]["identical"]  # the lives after it went on from a checkpoint


@pytest.mark.slow
def test_records_of_a_killed_evaluation_are_those_of_a_whole_one_and_no_chunk_is_asked_twice(lives):
    found = lives["evaluate"]
    assert found["lives"].count("killed") >= 3 and found["lives"][-1] == "done"
    assert found["identical"] and found["repeated"] == 0 and found["chunks"] >= 4
    assert found["left"] == []


@pytest.mark.slow
def test_an_answer_file_of_a_killed_run_ends_at_the_same_bytes(lives):
    assert lives["answer"] == {"lives": ["killed", "killed", "done"], "identical": True}


def test_a_torn_line_is_cut_off_and_nothing_else(tmp_path):
    file = tmp_path / "lines.jsonl"
    append_lines(file, [{"text": "käse"}, {"n": 2}])
    whole = file.read_bytes()
    for torn in (b"", b'{"n": 3', '{"text": "kä'.encode()[:-1], b"x" * 5000):
        file.write_bytes(whole + torn)
        cut_torn_end(file)
        assert file.read_bytes() == whole


def test_a_journal_gives_back_what_all_processes_kept(tmp_path):
    name = tmp_path / "probes"
    for process, chunk in ((0, 0), (1, 1), (0, 2)):
        Journal(name, process).add(chunk, [{"margin": 0.1 + chunk}])
    with (tmp_path / "probes.1.journal").open("ab") as stream:
        stream.write(b'{"chunk": 3, "resu')
    expected = {n: [{"margin": 0.1 + n}] for n in range(3)}
    assert Journal(name, 0).read() == Journal(name, 1).read() == expected
    assert Journal(None).read() == {}


# --- two runs at once ------------------------------------------------------------------------

HOLD = """
import sys, time
from pathlib import Path
from seednb.core.files import locked
with locked(Path(sys.argv[1]), "the run"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_with_the_owners_pid_until_kill_9(tmp_path):
    file = tmp_path / "runs/stage.lock"
    command = [sys.executable, "-c", HOLD, str(file)]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        assert owner.stdout.readline() == "held\n"
        sentence = rf"the run is being made by process {owner.pid}; wait"
        with pytest.raises(SeedError, match=sentence), locked(file, "the run", patience_s=0.1):
            pass
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    with locked(file, "the run", patience_s=0.1):
        assert file.with_name("stage.lock.pid").read_text().split()[0] == str(os.getpid())
    assert not file.with_name("stage.lock.pid").exists()


def test_a_second_training_of_the_same_version_exits_1_with_the_pid(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiment, "PATIENCE_S", 0.1)
    changes = {"runs_dir": str(tmp_path), "n_train_images": 8, "n_val_images": 6}
    stage = Experiment.open(str(SMOKE), changes).stages.train(RECIPES["v7"], "replay")
    options = [text for key, value in changes.items() for text in ("-p", f"{key}={value}")]
    with locked(stage.lock, "a run"):
        assert main(["train", "--params", str(SMOKE), "--version", "v7", *options]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"seednb: {stage.folder.name} is being made by process {os.getpid()};")


# --- disks that refuse -----------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no /dev/full")
def test_lines_on_a_full_disk_are_a_sentence():
    with pytest.raises(SeedError, match=r"/dev/full cannot be written \(No space left on device\)"):
        append_lines(Path("/dev/full"), [{"n": 1}])


ON_A_SMALL_DISK = """
import subprocess, sys
from pathlib import Path
from seednb.core.files import write_json
from seednb.core.stage import Stage
from seednb.core.errors import SeedError
from seednb.core.files import append_lines
folder = Path(sys.argv[1])
def refused(write):
    try:
        write()
    except SeedError as error:
        print(error)
write_json(folder / "a.json", "old")
refused(lambda: write_json(folder / "a.json", "x" * 200_000))
refused(lambda: append_lines(folder / "b.jsonl", [{"text": "x" * 200_000}]))
(folder / "b.jsonl").unlink(missing_ok=True)
subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
refused(lambda: write_json(folder / "a.json", "new"))
refused(lambda: append_lines(folder / "c.jsonl", []))
refused(lambda: Stage(folder, "train", {}).finish(1.0))
print((folder / "a.json").read_text().strip())
print(sorted(path.name for path in folder.iterdir()))
"""


def test_a_full_and_a_read_only_disk_leave_the_old_file(tmp_path):
    """A real disk of 64 KiB, where mounting one is allowed."""
    mount = f"mount -t tmpfs -o size=64k tmpfs {tmp_path}"
    allowed = ["unshare", "--mount", "sh", "-c"]
    try:
        subprocess.run([*allowed, mount], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a disk")
    command = [*allowed, f'{mount} && exec "$0" -c "$1" {tmp_path}', sys.executable]
    run = subprocess.run([*command, ON_A_SMALL_DISK], capture_output=True, text=True, env=ENVIRONMENT)  # fmt: skip
    *said, old, left = run.stdout.splitlines()
    reasons = ["No space left on device"] * 2 + ["Read-only file system"] * 3
    assert len(said) == len(reasons), run.stderr[-2000:]
    assert all(f"cannot be written ({reason})" in line for line, reason in zip(said, reasons, strict=True))  # fmt: skip
    assert (old, left) == ('"old"', "['a.json']")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_a_sentence(tmp_path):
    (tmp_path / "runs").mkdir(mode=0o555)
    for write in (
        lambda: write_json(tmp_path / "runs/a.json", 1),
        lambda: append_lines(tmp_path / "runs/a.jsonl", []),
        lambda: Stage(tmp_path / "runs", "train", {}).finish(1.0),
    ):
        with pytest.raises(SeedError, match="cannot be written"):
            write()


def test_a_training_whose_folder_cannot_be_made_exits_1(tmp_path, capsys):
    """A file stands where the folder should be: it stops every user, root too."""
    (tmp_path / "runs").write_text("")
    options = ["-p", f"runs_dir={tmp_path}/runs"]
    assert main(["train", "--params", str(SMOKE), *options]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("seednb: ") and "cannot be written" in last


# --- notebooks that stop ---------------------------------------------------------------------

KILL = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of two chapters: the first is fine, the second's kernel dies in its cell 3."""
    dying = [new_code_cell(source) for source in ("1", KILL, "2")]
    chapters = {
        "01_fine": [new_markdown_cell("# 01 · Fine\n\nA quiet text."), new_code_cell("6 * 7")],
        "02_dies": [new_markdown_cell("# 02 · Dies\n\nA doomed text."), *dying],
    }
    (tmp_path / "notebooks").mkdir()
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    for name, cells in chapters.items():
        notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(notebook, tmp_path / f"notebooks/{name}.ipynb")
    (tmp_path / "params").mkdir()
    (tmp_path / "params/small.yaml").write_text("profile: small\n")
    steps = tuple(pipeline.PipelineStep(name, ()) for name in chapters)
    monkeypatch.setattr(pipeline, "STEPS", steps)
    monkeypatch.setattr(pipeline.Pipeline, "_artifact", lambda *_: None)
    return tmp_path


def test_a_kernel_that_dies_is_named_with_its_cell_and_the_finished_chapters_stay(project, capsys):
    verb = ["report", "--params", str(project / "params/small.yaml")]
    assert main(verb) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "02_dies failed in cell 3 (import os, signal): its kernel died" in last
    assert "lower batch_size" in last and "run the same command again" in last
    page = (project / "reports/small/index.html").read_text()
    assert "A quiet text" in page and page.count("Not run here") == 1


def test_notebooks_side_by_side_end_each_on_its_own(project):
    names = ("02_dies", "01_fine", "01_fine")
    tasks = [
        (project / f"notebooks/{name}.ipynb", project / f"runs/{place}.ipynb", {})
        for place, name in enumerate(names)
    ]
    (project / "runs").mkdir()
    ended = {outcome.index: outcome for outcome in execute_all(tasks, jobs=3)}
    assert "02_dies failed in cell 3" in ended[0].error
    assert all(ended[place].result > 0 and not ended[place].error for place in (1, 2))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("Kernel died before replying to kernel_info"), "Kernel died before replying"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (ValueError(), "no reason given"),
    ],
)
def test_whatever_stops_papermill_is_a_sentence(project, monkeypatch, error, said):
    import papermill

    def stop(*_, **__):
        raise error

    monkeypatch.setattr(papermill, "execute_notebook", stop)
    source = project / "notebooks/01_fine.ipynb"
    with pytest.raises(SeedError, match=f"01_fine failed before its first cell: .*{said}"):
        execute(source, project / "executed.ipynb", {})


def test_a_second_report_of_the_same_profile_is_refused(project, monkeypatch, capsys):
    monkeypatch.setattr(pipeline, "locked", partial(locked, patience_s=0.1))
    verb = ["report", "--params", str(project / "params/small.yaml"), "--only", "01"]
    with locked(project / "runs/small/report.lock", "a report"):
        assert main(verb) == 1
    assert f"is being made by process {os.getpid()};" in capsys.readouterr().err
    assert main(verb) == 0
