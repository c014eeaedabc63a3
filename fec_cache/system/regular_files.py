"""Reading picture files without ever waiting for one."""

import errno
import os
import stat
from pathlib import Path

# Windows would otherwise translate line ends inside a picture.
_BINARY = getattr(os, "O_BINARY", 0)
# Without it, opening a named pipe waits until another process writes to it.
_DO_NOT_WAIT = getattr(os, "O_NONBLOCK", 0)
_PART_BYTES = 1 << 24


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file.

    A named pipe, a socket or a device is refused at once: reading it like a file could block the
    run forever.

    Raises:
        OSError: the file is missing, unreadable or not a regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _DO_NOT_WAIT | _BINARY)
    except ValueError as error:  # a NUL byte, or a character that no file name can hold
        raise OSError(errno.EINVAL, "not a possible file name", str(path)) from error
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        # One call suffices for nearly every file; the file may have grown, or a read be short.
        content = os.read(descriptor, status.st_size + 1)
        if len(content) == status.st_size:
            return content
        parts = [content]
        while part := os.read(descriptor, _PART_BYTES):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)
