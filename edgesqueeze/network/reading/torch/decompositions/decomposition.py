"""What a decomposition is: torch's operation written as others, with torch's own arguments."""

from collections.abc import Callable, Sequence
from typing import Any

Numbers = int | Sequence[int]
Decomposition = Callable[..., Any]
"""It returns ``NotImplemented`` where the operation is to stay."""
