"""Reading picture files without ever waiting for one."""

import errno
import os
import stat
from pathlib import Path


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file.

    A named pipe, a socket or a device in the place of a picture is refused at once: opened as a
    file is, it would keep the run waiting for ever.

    Raises:
        OSError: missing, not to be read, or no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        # One call for nearly every file; it may have grown since, and a read may give less.
        content = os.read(descriptor, status.st_size + 1)
        if len(content) == status.st_size:
            return content
        parts = [content]
        while part := os.read(descriptor, _PART_BYTES):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


_BINARY = getattr(os, "O_BINARY", 0)
_PART_BYTES = 1 << 24
