"""Host facts."""

import json
import os
import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest

import edgesqueeze
from edgesqueeze.measure.runtimes.host import host_facts


def test_facts_are_those_of_this_machine():
    facts = host_facts()
    assert 1 <= facts.cores <= os.cpu_count()
    assert facts.python == platform.python_version()
    assert facts.versions["numpy"] == np.__version__
    assert facts.cpu_model
    if platform.machine() == "x86_64":
        assert "sse4.2" in facts.cpu_features
    if platform.machine() == "aarch64":
        assert "neon" in facts.cpu_features


def test_the_commit_is_that_of_the_checkout():
    root = Path(edgesqueeze.__file__).parents[1]
    if not (root / ".git").exists():
        pytest.skip("the package is installed, not in a checkout")
    head = subprocess.run(
        ["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert host_facts().git_commit.removesuffix("-dirty") == head.stdout.strip()


def test_json_and_sentence():
    facts = host_facts()
    data = json.loads(json.dumps(facts.to_json()))
    assert data["cpu_features"] == list(facts.cpu_features)
    sentence = facts.sentence()
    assert facts.cpu_model in sentence
    assert f"numpy {np.__version__}" in sentence
    assert "\n" not in sentence
