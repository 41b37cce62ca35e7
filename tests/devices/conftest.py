"""A run whose files go onto devices."""

import pytest
from small_run import RECIPE

from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run


@pytest.fixture(scope="session")
def run(tiny_task, tmp_path_factory):
    recipe = parse_recipe(RECIPE, "test")
    folder = tmp_path_factory.mktemp("deploy") / "run"
    compress(recipe, tiny_task, new_run(recipe, folder))
    return folder
