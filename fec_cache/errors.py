"""Every error that a user can see; importable by all stages.

A message says what is wrong with the value, what was expected and what to do next.

FecError
├── BadOption
│   └── UnknownBackbone
├── MissingExtra
├── DataError
│   ├── MissingData
│   ├── BadAnnotations
│   ├── BadImage
│   ├── OutputExists
│   ├── FacesLeak
│   └── NothingToTrain
├── DownloadError
│   ├── LedgerDamaged
│   └── NetworkDown
├── WeightsError
│   ├── WeightsNotFound
│   └── WeightsMismatch
├── CacheError
│   ├── CacheNotFound
│   ├── CacheMismatch
│   └── CacheDamaged
├── HeadMismatch
├── ComputationError
│   ├── PicturesDiffer
│   ├── PrecisionLost
│   ├── BadFeatures
│   └── TrainingDiverged
└── MachineError
    ├── StorageFailed
    ├── OutOfMemory
    ├── WorkerLost
    └── AlreadyRunning
"""

import errno

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ADVICE = {
    **dict.fromkeys(FULL_DISK, "free some space or choose another folder"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "check file permissions or choose another folder"),
    errno.EROFS: "choose a folder on a writable disk",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.EIO: "choose a folder on another disk: this one is failing",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "close other programs"),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST), "check the path"),
}


def system_advice(error: OSError) -> str:
    """What to do about an error of the operating system: the end of a sentence."""
    advice = _ADVICE.get(error.errno or 0, "check the path and the disk")
    return f"{advice}, then run the command again."


class FecError(Exception):
    """Parent of every error that users see as one line instead of a traceback.

    Example:
        >>> from fec_cache import Judge
        >>> try:
        ...     Judge.load("runs/none")
        ... except FecError as error:
        ...     print(error)
        runs/none is not a run: it has no config.json. Run: fec train-head
    """


class BadOption(FecError):
    """Raised when an option or a configuration value is outside its allowed values."""


class UnknownBackbone(BadOption):
    """Raised when no backbone has the given name."""


class MissingExtra(FecError):
    """Raised when a command needs an optional library that is not installed."""


class DataError(FecError):
    """Parent of errors about the annotations, images and folders that a command uses."""


class MissingData(DataError):
    """Raised when a folder or file that a command reads does not exist or cannot be read."""


class BadAnnotations(DataError):
    """Raised when an annotation file has no usable row, or two files claim the same split."""


class BadImage(DataError):
    """Raised when a picture cannot be decoded or gives no usable face."""


class OutputExists(DataError):
    """Raised before a command would overwrite something that it did not make."""


class FacesLeak(DataError):
    """Raised when faces of the test split were seen in training."""


class NothingToTrain(DataError):
    """Raised when no usable training or validation triplets are left."""


class DownloadError(FecError):
    """Parent of errors of `fec download` that end the whole run."""


class LedgerDamaged(DownloadError):
    """Raised when the ledger of downloads is not a valid ledger file."""


class NetworkDown(DownloadError):
    """Raised when many hosts were tried and none could be reached."""


class WeightsError(FecError):
    """Parent of errors about a backbone's weights."""


class WeightsNotFound(WeightsError):
    """Raised when a backbone's weights are not on this machine and cannot be downloaded."""


class WeightsMismatch(WeightsError):
    """Raised when weights are not the requested ones or do not fit the network."""


class CacheError(FecError):
    """Parent of errors about a feature cache."""


class CacheNotFound(CacheError):
    """Raised when there is no cache, or none that holds the requested features."""


class CacheMismatch(CacheError):
    """Raised when a cache holds features of another recipe than the requested one."""


class CacheDamaged(CacheError):
    """Raised when a file of a cache is missing, truncated or altered."""


class HeadMismatch(FecError):
    """Raised when a saved head and the features given to it do not belong together."""


class ComputationError(FecError):
    """Parent of errors about computed values that cannot be used."""


class PicturesDiffer(ComputationError):
    """Raised when a GPU decodes a picture differently from the CPU."""


class PrecisionLost(ComputationError):
    """Raised when the fast path through a network does not reproduce its plain features."""


class BadFeatures(ComputationError):
    """Raised when features, or a head's outputs for them, are not finite."""


class TrainingDiverged(ComputationError):
    """Raised when a head's loss became non-finite before the head learned anything."""


class MachineError(FecError):
    """Parent of errors about this machine: its disk, memory and processes."""


class StorageFailed(MachineError):
    """Raised when a file cannot be written: disk full, read-only, failing or locked."""


class OutOfMemory(MachineError):
    """Raised when the machine or its GPU does not have enough memory."""


class WorkerLost(MachineError):
    """Raised when a process that computed part of the features has died."""


class AlreadyRunning(MachineError):
    """Raised when another process does the same work in the same folder."""
