"""What a benchmark found out."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One figure, in seconds unless `unit` says otherwise: our rounds, and those of a peer, if there is one."""

    name: str
    rounds: Sequence[float]
    what: str
    peer: str | None = None
    peer_rounds: Sequence[float] = ()
    unit: str = "s"
    more_is_better: bool = False

    @property
    def value(self) -> float:
        """The median of our rounds."""
        return median(self.rounds)

    @property
    def ratio(self) -> float | None:
        """How many times better ours is: the peer's median over ours, or the other way round where more is better."""
        if not self.peer_rounds:
            return None
        peers = median(self.peer_rounds)
        return self.value / peers if self.more_is_better else peers / self.value

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        peers = f"{median(self.peer_rounds):.3f}" if self.peer_rounds else "-"
        return (self.name, f"{self.value:.3f}", self.unit, peers, f"{self.ratio:.2f}" if self.ratio else "-", self.what)

    @property
    def line(self) -> str:
        """The line for programs."""
        beside = f" ratio={self.ratio:.2f} peer={self.peer}" if self.ratio else ""
        return f"{self.name} {self.value:.3f} {self.unit}{beside}"
