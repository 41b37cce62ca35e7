"""The README is short and has what others look for in it; its code runs in test_docs.py."""

import re

from pages import ROOT, blocks

from edgesqueeze.run.row_tables import brief_table
from edgesqueeze.run.rundir import read_report

README = (ROOT / "README.md").read_text()


def test_the_two_newcomer_commands_are_there():
    marked = {block["marker"]: block["code"] for block in blocks("README.md") if block["marker"]}
    assert set(marked) == {"run", "test"}
    assert "compress --recipe deep_compression" in marked["run"]
    assert "./check" in marked["test"]


def test_it_is_read_in_a_few_minutes_and_the_command_comes_first():
    lines = README.splitlines()
    assert len(lines) <= 120
    assert lines.index("edgesqueeze compress --recipe deep_compression") < 20


def test_one_table_of_numbers():
    tables = re.findall(r"^\|[:|-]+\|$", README, re.M)
    assert len(tables) == 2  # the other says where to go next


def test_the_table_is_what_is_printed():
    report = read_report(ROOT / "bench" / "results" / "deep_compression" / "fashion_mnist")
    assert brief_table(report.rows, "github") in README
