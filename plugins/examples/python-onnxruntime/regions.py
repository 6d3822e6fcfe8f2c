"""Shared memory: section 5 of docs/plugin-protocol.md."""
import mmap
import os
import stat

UNIT, NONCE = 1 << 16, 32


class Region:
    """Memory of the host, mapped."""

    def __init__(self, path, size, nonce):
        """Raises OSError or ValueError, with the reason, for whatever is not the host's region."""
        if not os.path.isabs(path) or os.path.normpath(path) != path or size == 0 or size % UNIT or len(nonce) != NONCE:
            raise ValueError(f"want a clean absolute path, a multiple of {UNIT} bytes and a nonce of {NONCE}")
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK | (0 if path.startswith("/proc/") else os.O_NOFOLLOW)
        fd = os.open(path, flags)
        try:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o077 or info.st_size != size:
                raise ValueError(f"want a private regular file of {size} bytes, got {info.st_size} and mode {info.st_mode:o}")
            self.memory = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        finally:
            os.close(fd)
        if self.memory[:NONCE] != nonce:
            self.memory.close()
            raise ValueError("want the nonce at the beginning")
        self.memory[:NONCE] = bytes(b ^ 0xFF for b in nonce)
        self.size = size

    def close(self):
        self.memory.close()
