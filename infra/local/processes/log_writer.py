"""Write what a process prints to its log file, and start a new file when that is full.

Run as `python -I -S log_writer.py FILE BYTES_MAX`; the process's stdout and stderr are a pipe, which is the
stdin of this one. So no program has to know of its log file, and what libraries print is bounded, too. It
ends when every process that holds the other end of the pipe has ended.
"""

import logging
import os
import sys
from logging.handlers import RotatingFileHandler

UMASK = 0o077
# FILE.1 is the one before; it replaces the one before that.
OLD_FILES = 1
# A longer line is cut into lines of this size.
LINE_BYTES_MAX = 64 * 1024


def main(file: str, bytes_max: int) -> None:
    os.umask(UMASK)
    # If the disk is full, lines are lost. Otherwise the process would wait for us once the pipe is full.
    logging.raiseExceptions = False
    log = RotatingFileHandler(file, maxBytes=bytes_max, backupCount=OLD_FILES, encoding="utf-8")
    while line := sys.stdin.buffer.readline(LINE_BYTES_MAX):
        text = line.decode(errors="backslashreplace").removesuffix("\n")
        log.emit(logging.makeLogRecord({"msg": text}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
