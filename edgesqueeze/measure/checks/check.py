"""Did it really work? What every check says, in one shape.

A check is a pure function from facts to a :class:`Check`, in a file of its name beside this one. The facts
are those of ``file_facts``, ``layer_facts`` and ``enough_images``; ``run.facts_of_a_run`` gathers them, once.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edgesqueeze.errors import CheckError

Severity = Literal["fault", "doubt", "note"]
Status = Literal["fired", "cannot tell", "ok", "not checked"]
"""A fault was found; nobody can tell; it holds; there was nothing to ask it of."""
_FIRST: dict[Severity, str] = {"fault": "FAULT", "doubt": "cannot tell"}
_SHOWN_PLACES = 5


@dataclass(frozen=True)
class Finding:
    """Something that was found. A fault fires the check; a doubt says that nobody can tell; a note neither.

    ``what`` is a sentence without a full stop that names its file or stage; ``where`` are the layers, all
    of them.
    """

    severity: Severity
    what: str
    where: tuple[str, ...] = ()

    def text(self) -> str:
        """The sentence with its first few places."""
        shown = ", ".join(self.where[:_SHOWN_PLACES])
        more = len(self.where) - _SHOWN_PLACES
        return self.what + (f": {shown}" if shown else "") + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class Check:
    """One question and its answer.

    ``passed`` says what was compared and holds; ``unchecked`` why the question, or a part of it, was not
    asked. A check that has neither has only findings.
    """

    name: str
    passed: str = ""
    unchecked: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that fire the check."""
        return self._found("fault")

    @property
    def status(self) -> Status:
        """A fault decides; where there is none, a doubt does."""
        if self.faults:
            return "fired"
        if self._found("doubt"):
            return "cannot tell"
        return "not checked" if self.unchecked and not self.passed else "ok"

    def lines(self) -> list[str]:
        """One line each: faults, doubts, what holds, what was noticed, what was not asked."""
        said = [(word, self._found(severity)) for severity, word in _FIRST.items()]
        found = [f"- {word} {self.name}: {finding.text()}" for word, those in said for finding in those]
        found += [f"- ok {self.name}: {self.passed}"] if self.passed else []
        found += [f"- note {self.name}: {finding.text()}" for finding in self._found("note")]
        return found + ([f"- not checked {self.name}: {self.unchecked}"] if self.unchecked else [])

    def _found(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == severity)

    def to_json(self) -> dict[str, Any]:
        """Plain values, the status among them."""
        return {**asdict(self), "status": self.status}


def concluded(name: str, passed: str, findings: Sequence[Finding], unchecked: str = "") -> Check:
    """The check with its findings; ``passed`` is said only if none of them is a fault or a doubt."""
    holds = all(finding.severity == "note" for finding in findings)
    return Check(name, passed if holds else "", unchecked, tuple(findings))


def check_from_json(data: dict[str, Any]) -> Check:
    """The inverse of :meth:`Check.to_json`."""
    findings = (Finding(f["severity"], f["what"], tuple(f["where"])) for f in data["findings"])
    return Check(data["name"], data["passed"], data["unchecked"], tuple(findings))


def checks_text(checks: Sequence[Check]) -> str:
    """All checks, for under the table."""
    lines = [line for check in checks for line in check.lines()]
    return "\n".join([f"Did it really work: {_counted(checks)}", "", *lines])


def _counted(checks: Sequence[Check]) -> str:
    """How many hold, found a fault, cannot tell, were not asked; the last two only if there are any."""
    counts = Counter(check.status for check in checks)
    said = [f"{counts['ok']} hold", f"{counts['fired'] or 'none'} found a fault"]
    said += [f"{counts[status]} {status}" for status in ("cannot tell", "not checked") if counts[status]]
    return f"of {len(checks)} checks {', '.join(said)}"


def require(checks: Sequence[Check]) -> None:
    """Raise if a check has found a fault; one that cannot tell is none.

    Raises:
        CheckError: every fault of every check, by name.
    """
    fired = [f"{check.name}: {finding.text()}" for check in checks for finding in check.faults]
    if fired:
        count = sum(check.status == "fired" for check in checks)
        raise CheckError(f"{count} of {len(checks)} checks found a fault. {'. '.join(fired)}.")
