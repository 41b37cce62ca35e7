"""Did it really work? What every check says, in one shape.

A check is a pure function from facts to a :class:`Check`, in a file of its name beside this one. The facts
are those of ``file_facts``, ``layer_facts`` and ``enough_images``; ``run.facts_of_a_run`` gathers them, once.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edgesqueeze.errors import CheckError

Severity = Literal["fault", "note"]
_SHOWN_PLACES = 5


@dataclass(frozen=True)
class Finding:
    """Something that was found. A fault fires the check, a note does not.

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

    ``passed`` says what was compared and holds; ``unchecked`` why the question, or a part of it, could not
    be asked. A check that has neither has only findings.
    """

    name: str
    passed: str = ""
    unchecked: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that fire the check."""
        return tuple(finding for finding in self.findings if finding.severity == "fault")

    @property
    def status(self) -> str:
        """``fired``, ``ok`` or ``not checked``."""
        if self.faults:
            return "fired"
        return "not checked" if self.unchecked and not self.passed else "ok"

    def lines(self) -> list[str]:
        """One line each: what fired, what holds, what was noticed, what could not be asked."""
        found = [f"- FIRED {self.name}: {finding.text()}" for finding in self.faults]
        found += [f"- ok {self.name}: {self.passed}"] if self.passed else []
        notes = [finding for finding in self.findings if finding.severity == "note"]
        found += [f"- note {self.name}: {finding.text()}" for finding in notes]
        return found + ([f"- not checked {self.name}: {self.unchecked}"] if self.unchecked else [])

    def to_json(self) -> dict[str, Any]:
        """Plain values, the status among them."""
        return {**asdict(self), "status": self.status}


def concluded(name: str, passed: str, findings: Sequence[Finding], unchecked: str = "") -> Check:
    """The check with its findings; ``passed`` is said only if none of them is a fault."""
    fired = any(finding.severity == "fault" for finding in findings)
    return Check(name, "" if fired else passed, unchecked, tuple(findings))


def check_from_json(data: dict[str, Any]) -> Check:
    """The inverse of :meth:`Check.to_json`."""
    findings = (Finding(f["severity"], f["what"], tuple(f["where"])) for f in data["findings"])
    return Check(data["name"], data["passed"], data["unchecked"], tuple(findings))


def checks_text(checks: Sequence[Check]) -> str:
    """All checks, for under the table."""
    fired = sum(check.status == "fired" for check in checks)
    head = f"Did it really work: {fired} of {len(checks)} checks fired"
    return "\n".join([head, "", *(line for check in checks for line in check.lines())])


def require(checks: Sequence[Check]) -> None:
    """Raise if a check has fired.

    Raises:
        CheckError: every fault of every check, by name.
    """
    fired = [f"{check.name}: {finding.text()}" for check in checks for finding in check.faults]
    if fired:
        count = sum(check.status == "fired" for check in checks)
        raise CheckError(f"{count} of {len(checks)} checks fired. {'. '.join(fired)}.")
