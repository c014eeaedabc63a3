"""Every error that a user can meet; open to all stages.

A message says what is wrong with the value, what was expected and what to do next.
"""

import errno

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ADVICE = {
    **dict.fromkeys(FULL_DISK, "make room or name another folder"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "mend the permissions or name another folder"),
    errno.EROFS: "name a folder on a disk that can be written to",
    errno.ENAMETOOLONG: "take a shorter name",
    errno.EIO: "name a folder on another disk, as this one is failing",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "close other programs' files"),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST), "mend the path"),
}


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


class UnknownBackbone(BadOption):
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


class OutOfMemory(FecError):
    """The machine has not the memory for what was asked."""


class HeadMismatch(FecError):
    """A saved head and the features offered to it do not belong together."""


def system_advice(error: OSError) -> str:
    """What to do about an error of the operating system: the end of a sentence."""
    return f"{_ADVICE.get(error.errno or 0, 'check the path and the disk')}, then run it again."


class PicturesDiffer(FecError):
    """A GPU decodes a picture to something else than the CPU does."""


class PrecisionLost(FecError):
    """The fast path through a network does not give the features of the plain one."""


class WorkerLost(FecError):
    """A process that computed part of the features is gone."""
