"""environment.json: the machine and the software that a run happens on."""

from pathlib import Path
from typing import Any

from edgesqueeze.measure.runtimes.host import host_facts
from edgesqueeze.run.folders.json_files import read_json, write_json


def environment_of(path: Path, data_fingerprint: str, training: dict[str, Any]) -> dict[str, Any]:
    """What a run's report says of where it happens, written to its file too.

    The files are measured by the process that ends the run, so its facts are told; of a run that goes on
    elsewhere than it began, the earlier facts stand below ``began``.

    Args:
        path: environment.json, which need not be there yet.
        data_fingerprint: of the task.
        training: where stages train, :meth:`edgesqueeze.task.training.Place.facts`.

    Raises:
        OutputError: the file is damaged.
    """
    facts = {**host_facts().to_json(), "data_fingerprint": data_fingerprint, "training": training}
    if path.is_file():
        known = read_json(path, "delete it, and the run writes it anew when it goes on")
        began = known.get("began", known)
        if _lasting(known) == _lasting(facts):
            return known
        if began.get("data_fingerprint") == data_fingerprint:
            facts["began"] = began
    write_json(path, facts)
    return facts


def _lasting(facts: dict[str, Any]) -> dict[str, Any]:
    """What does not change from one minute to the next."""
    return {key: value for key, value in facts.items() if key not in ("load", "began")}
