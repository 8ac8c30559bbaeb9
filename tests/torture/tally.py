"""What a campaign counted, and how it tells that to whoever adds it up."""

import json
from dataclasses import asdict, dataclass, field

MARK = "tally:"
MOST_SHOWN = 8
LONGEST_SHOWN = 12_000


@dataclass(slots=True)
class Tally:
    """`violations` are sentences, each with what is needed to see it again: seed and history."""

    layer: str
    seed: int
    histories: int = 0
    faults: int = 0
    duplicates: int = 0
    lost: int = 0
    stuck: int = 0
    phantoms: int = 0
    seconds: float = 0
    violations: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        wrong = self.duplicates or self.lost or self.stuck or self.phantoms or self.violations
        return self.histories > 0 and not wrong

    def add(self, other: "Tally") -> None:
        """Take in what another process counted in the same layer; the seconds are of the slowest."""
        for name in ("histories", "faults", "duplicates", "lost", "stuck", "phantoms"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.seconds = max(self.seconds, other.seconds)
        self.violations += other.violations

    def line(self) -> str:
        content = asdict(self) | {
            "seconds": round(self.seconds, 1),
            "violations": [text[:LONGEST_SHOWN] for text in self.violations[:MOST_SHOWN]],
        }
        return f"{MARK} {json.dumps(content)}"


def read(text: str) -> list[Tally]:
    """Return every tally that a process printed."""
    return [Tally(**json.loads(line.removeprefix(MARK))) for line in text.splitlines() if line.startswith(MARK)]
