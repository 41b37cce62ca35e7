"""Where a device is: ``ssh://user@host:port``."""

import re
from dataclasses import dataclass

from edgesqueeze.errors import RecipeError

_FORM = re.compile(
    r"ssh://(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]*)@"
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9]+)?\])(:(?P<port>[0-9]{1,5}))?/?"
)


@dataclass(frozen=True)
class Address:
    """Who logs in where; ``host`` is a name or an IP address without brackets."""

    user: str
    host: str
    port: int | None = None
    """None: what ssh is set up with for this host."""

    def __str__(self) -> str:
        return f"{self.user}@{self.host}" + ("" if self.port is None else f":{self.port}")


def parse_address(text: str) -> Address:
    """The address that a URL names.

    Raises:
        RecipeError: it is another kind of URL, or a part of it is none that ssh could be given safely.
    """
    found = _FORM.fullmatch(text)
    port = None if found is None or found["port"] is None else int(found["port"])
    if found is None or port == 0 or (port or 0) > 65535:
        raise RecipeError(f"a device is ssh://user@host or ssh://user@host:port, found {text}")
    return Address(found["user"], found["host"].strip("[]"), port)
