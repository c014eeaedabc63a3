"""Every error that a user can meet; open to all stages.

A message says what is wrong with the value, what was expected and what to do next.
"""


class FecError(Exception):
    """Parent of every error that is told to the user in one line instead of a traceback."""


class BadOption(FecError):
    """An option or a configuration value is outside of what it may be."""


class BadAnnotations(FecError):
    """An annotation file cannot be used at all."""


class MissingData(FecError):
    """A folder or a file that a command reads is not there."""


class LedgerDamaged(FecError):
    """The ledger of the downloads cannot be read."""


class AlreadyRunning(FecError):
    """Another process does the same work in the same folder."""


class NetworkDown(FecError):
    """Not one server can be reached."""


class OutputExists(FecError):
    """A command would overwrite something that it did not make."""


class BadImage(FecError):
    """A picture cannot be used as a face."""


class UnknownFace(FecError):
    """A triplet names a face that has no row."""


class UnknownBackbone(FecError):
    """No backbone has this name."""


class WeightsNotFound(FecError):
    """A backbone's weights are not at hand and cannot be fetched."""


class WeightsMismatch(FecError):
    """Weights are not the ones that were asked for, or do not fit the network."""


class CacheMismatch(FecError):
    """A cache holds features of another recipe than the one asked for."""


class CacheDamaged(FecError):
    """A file of a cache is missing, truncated or altered."""


class CacheNotFound(FecError):
    """No cache answers the question."""


class StorageFailed(FecError):
    """The disk would not take what was to be written."""


class BadFeatures(FecError):
    """Features, or a head's answers to them, are not finite numbers."""


class NothingToTrain(FecError):
    """No usable triplets are left."""


class TrainingDiverged(FecError):
    """A head's loss stopped being a number before anything was learned."""


class FacesLeak(FecError):
    """The same faces stand on two sides of a split."""


class HeadMismatch(FecError):
    """A saved head and the features offered to it do not belong together."""
