"""Host facts."""

import json
import os
import platform

import numpy as np

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


def test_json_and_sentence():
    facts = host_facts()
    data = json.loads(json.dumps(facts.to_json()))
    assert data["cpu_features"] == list(facts.cpu_features)
    sentence = facts.sentence()
    assert facts.cpu_model in sentence
    assert f"numpy {np.__version__}" in sentence
    assert "\n" not in sentence
