"""`Overlap`: the part of a test split that a head has seen before."""

from dataclasses import dataclass

from fec_cache.errors import FacesLeak
from fec_cache.system.wording import counted

_NUM_NAMED = 3


@dataclass(frozen=True)
class Overlap:
    """Number of test faces that were seen in training, and names of test people who were."""

    num_faces: int = 0
    people: tuple[str, ...] = ()

    def refuse_unless(self, is_allowed: bool, run: str) -> None:
        """Refuse to measure a head on faces or people that it has seen.

        Raises:
            FacesLeak: there is an overlap, and it is not allowed.
        """
        if (self.num_faces or self.people) and not is_allowed:
            raise FacesLeak(
                f"{run} has seen {self._counts()} of the test split in training, so its "
                "figures would be too good. Fix the split, or continue with --allow-overlap."
            )

    def in_words(self) -> list[str]:
        """A warning to show next to figures; none without an overlap."""
        if not (self.num_faces or self.people):
            return []
        return [f"{self._counts()} of the test split WERE SEEN IN TRAINING: not comparable."]

    def _counts(self) -> str:
        parts = [counted(self.num_faces, "face")] if self.num_faces else []
        if self.people:
            named = ", ".join(self.people[:_NUM_NAMED])
            more = ", ..." if len(self.people) > _NUM_NAMED else ""
            parts.append(f"{counted(len(self.people), 'person', 'people')} ({named}{more})")
        return " and ".join(parts)
