"""A finished run with names that are made to break out of a page."""

import pytest
from hostile_run import make_run

from edgesqueeze.page.facts import read_runs


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """The directory of the run."""
    directory = tmp_path_factory.mktemp("page") / "run <b>&"
    make_run(directory)
    return directory


@pytest.fixture(scope="session")
def facts(run):
    """What is known of the run."""
    return read_runs([run])[0]
