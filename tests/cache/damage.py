"""Damage that tests do to files of a cache."""


def flip_bit(path, bit=None):
    """Flip one bit of a file, by default the first one of its middle byte."""
    content = bytearray(path.read_bytes())
    bit = 8 * (len(content) // 2) if bit is None else bit
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
