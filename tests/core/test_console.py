"""What the verbs print: colours only on a terminal that wants them, and never in a pipe."""

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seednb.cli.__main__ import main
from seednb.core.console import bar, has_colours, hides_progress, marked, sparkline, styled, table

ROOT = Path(__file__).parents[2]
SMOKE = str(ROOT / "params/smoke.yaml")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")  # all but the line's end


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def sit_at_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_colours_need_a_terminal_and_no_wish_against_them(monkeypatch):
    sit_at_a_terminal(monkeypatch)
    assert has_colours() and styled("a", "bold") == "\033[1ma\033[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert styled("a", "bold") == "a"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not has_colours()


def test_found_and_missing_are_told_apart_on_a_terminal_and_equal_in_a_pipe(monkeypatch):
    sit_at_a_terminal(monkeypatch)
    text = "files\n  found    a\n  missing  b"
    assert "\033[32mfound" in marked(text) and "\033[31mmissing" in marked(text)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert marked(text) == text


def test_a_bar_has_one_width_whatever_its_share(monkeypatch):
    assert [len(bar(share, 10)) for share in (-1, 0, 0.34, 1, 2)] == [10] * 5
    assert bar(0.5, 4) == "██░░"
    ascii_stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", ascii_stream)
    assert bar(0.5, 4) == "##.." and sparkline([1, 2]) == ""


def test_a_sparkline_rises_with_its_values_and_keeps_its_width():
    assert sparkline([0.0, 3.0, 7.0]) == "▁▄█"
    assert len(sparkline(list(range(1000)), 40)) == 40
    assert sparkline([]) == "" and set(sparkline([1.0, 1.0])) == {"▁"}


def test_columns_line_up_without_blanks_at_the_end():
    assert table([("a", "b"), ("ccc", "")]) == ["  a    b", "  ccc"]


@pytest.mark.parametrize("verb", [["params"], ["doctor"], ["report", "--dry-run"]])
def test_a_verb_in_a_pipe_prints_no_control_character(verb, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(verb) == 0
    text = capsys.readouterr().out
    assert text.strip() and not CONTROL.search(text)


def test_training_in_a_pipe_says_where_the_result_lies_and_moves_no_cursor(tmp_path, capsys):
    verb = ["train", "--params", SMOKE, "--version", "sft", "-p", f"runs_dir={tmp_path}"]
    assert main(verb) == 0
    said = capsys.readouterr()
    assert not CONTROL.search(said.out)
    (folder,) = (tmp_path / "smoke").glob("train-sft-*")
    assert f"adapter: {folder / 'adapter'}" in said.out
    assert f"curve:   {folder / 'curve.parquet'}" in said.out
    assert re.search(r"loss +[▁-█]+ [\d.]+ to [\d.]+ in \d+ steps", said.out)


def test_progress_is_shown_to_a_terminal_and_to_a_notebook_only(monkeypatch):
    from ipykernel.kernelapp import IPKernelApp

    assert hides_progress()  # a kernel's module alone, as papermill brings it in, is no notebook
    monkeypatch.setattr(IPKernelApp, "initialized", lambda: True)
    assert not hides_progress() and hides_progress(is_main_process=False)
    monkeypatch.setattr(IPKernelApp, "initialized", lambda: False)
    assert hides_progress()
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert not hides_progress()


def test_params_on_a_terminal_has_bold_headings():
    parent, child = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    command = [sys.executable, "-m", "seednb.cli.__main__", "params"]
    subprocess.run(command, cwd=ROOT, stdout=child, check=True, env=environment | {"TERM": "xterm"})
    os.close(child)
    assert b"\033[1mdata\033[0m" in os.read(parent, 65536)
    os.close(parent)
