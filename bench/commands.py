"""The commands that stand beside results, and the files that they take."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_TAKEN = ("--recipe", "--checkpoint", "--run", "--suite", "--resume")
"""Options whose values are recipes, checkpoints or runs, where they are paths at all."""
_MADE = ("--output", "--work", "--save")
_PROGRAMS = ("edgesqueeze", "python")


@dataclass(frozen=True)
class Command:
    """A command line: ``program`` as in ``edgesqueeze compress`` or ``bench.one_shot``, and what follows."""

    program: str
    words: tuple[str, ...]

    def values(self, option: str) -> list[str]:
        """Every value of an option: the words behind it, up to the next option."""
        found: list[str] = []
        collecting = False
        for word in self.words:
            if word.startswith("--"):
                collecting = word == option
            elif collecting:
                found.append(word)
        return found

    def value(self, option: str) -> str | None:
        """The first value of an option, None without one."""
        return next(iter(self.values(option)), None)

    def taken(self) -> list[str]:
        """Paths of recipes, checkpoints and runs that it takes."""
        found = [
            value.partition("=")[2] for value in self.values("--set") if value.startswith("task.checkpoint=")
        ]
        for option in _TAKEN:
            found += [value.rpartition("=")[2] for value in self.values(option) if "/" in value]
        found += [name for name in self._named() if "/" in name]
        return found

    def made(self) -> list[str]:
        """Folders that it writes into."""
        return [value for option in _MADE for value in self.values(option)]

    def _named(self) -> Iterator[str]:
        """What stands behind the equals signs of ``NAME=RUN``, in front of the first option."""
        for word in self.words:
            if word.startswith("-"):
                return
            if "=" in word:
                yield word.rpartition("=")[2]


def commands_in(text: str) -> list[Command]:
    """The command lines of a text, which begin with the name of the program."""
    found = []
    for line in text.splitlines():
        if not line.startswith(tuple(f"{program} " for program in _PROGRAMS)):
            continue
        words = shlex.split(line)
        if words[0] == "edgesqueeze":
            found.append(Command(f"edgesqueeze {words[1]}", tuple(words[2:])))
        elif words[1:2] == ["-m"]:
            found.append(Command(words[2], tuple(words[3:])))
    return found


def missing_files(commands: Sequence[Command], root: Path) -> list[str]:
    """What commands take that neither the repository has nor an earlier one of them has made.

    Args:
        commands: in their order.
        root: of the repository.
    """
    made: list[Path] = []
    missing = []
    for command in commands:
        for name in command.taken():
            path = Path(name)
            own = any(path.is_relative_to(folder) for folder in (*made, *map(Path, command.made())))
            if not own and (path.is_absolute() or not (root / path).exists()):
                missing.append(name)
        made += map(Path, command.made())
    return missing
