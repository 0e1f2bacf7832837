"""A seccomp filter: a process may use memory, start threads and use its open descriptors, no more.

The filter is an allow-list, so that a system call which a future kernel adds is refused too. A
refused call returns EPERM and does not kill the process. Otherwise a harmless call (glib tries to
open a file that may not exist) would make us reject the photo.
"""

import ctypes
import errno
import struct
from collections.abc import Collection, Iterator

from streams.media.syscalls import Architecture

_PR_SET_NAME = 15
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2

_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000

# Classic BPF: load a word, jump if equal, jump if any bit is set, return.
_LOAD, _IF_EQUAL, _IF_BITS, _RETURN = 0x20, 0x15, 0x45, 0x06
# Byte offsets in struct seccomp_data: call number, architecture, instruction pointer, six arguments
# of 64 bits. Classic BPF loads 32 bits. Both architectures are little-endian, so these offsets load
# the low half of an argument.
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16

_PROT_EXEC = 0x4
# Give pages back, at once or when memory is short: what malloc does. The other advice can poison
# pages of the machine, share pages with other processes, or hide them from limits.
_ADVICE = (4, 8)  # MADV_DONTNEED, MADV_FREE
_CLONE_THREAD = 0x10000
_CLONE_NAMESPACES = 0x7E020000

Instruction = tuple[int, int, int, int]


def install(architecture: Architecture, own_pid: int) -> None:
    """Permanently limit this process to the allowed system calls. Set no_new_privs before.

    Raises:
        OSError: The kernel refuses the filter.
    """
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in _program(architecture, own_pid))
    instructions = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, then an aligned pointer to them.
    filter_program = struct.pack("HP", len(program) // 8, ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    argument = ctypes.create_string_buffer(filter_program, len(filter_program))
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, argument, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel refused the seccomp filter of a decoder")


def _program(architecture: Architecture, own_pid: int) -> Iterator[Instruction]:
    yield from [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_IF_EQUAL, 1, 0, architecture.audit),
        # On another architecture the same numbers mean other calls, so the list would be wrong.
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    for number in sorted(architecture.allowed):
        yield from [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    # Memory may be mapped, but not as executable: if an image tricks a decoder into writing machine
    # code, the decoder cannot run it.
    for number in (architecture.mmap, architecture.mprotect):
        yield from _unless_bits(number, argument=2, bits=_PROT_EXEC)
    yield from _threads_only(architecture.clone)
    # The flags of clone3 are in memory, which a filter cannot read. With ENOSYS, glibc uses clone.
    yield from [(_IF_EQUAL, 0, 1, architecture.clone3), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    yield from _only_with(architecture.madvise, argument=2, values=_ADVICE)
    # glib sets the names of its threads.
    yield from _only_with(architecture.prctl, argument=0, values=(_PR_SET_NAME,))
    # abort() sends a signal to its own process.
    yield from _only_with(architecture.tgkill, argument=0, values=(own_pid,))
    yield _refuse()


def _refuse() -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | errno.EPERM)


def _argument_at(argument: int) -> int:
    return _ARGUMENTS_AT + 8 * argument


def _only_with(number: int, *, argument: int, values: Collection[int]) -> list[Instruction]:
    allowed = [
        instruction for value in values for instruction in ((_IF_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW))
    ]
    return [
        (_IF_EQUAL, 0, len(allowed) + 2, number),
        (_LOAD, 0, 0, _argument_at(argument)),
        *allowed,
        _refuse(),
    ]


def _unless_bits(number: int, *, argument: int, bits: int) -> list[Instruction]:
    return [
        (_IF_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _argument_at(argument)),
        (_IF_BITS, 1, 0, bits),
        (_RETURN, 0, 0, _ALLOW),
        _refuse(),
    ]


def _threads_only(clone: int) -> list[Instruction]:
    return [
        (_IF_EQUAL, 0, 5, clone),
        (_LOAD, 0, 0, _argument_at(0)),
        (_IF_BITS, 0, 2, _CLONE_THREAD),
        (_IF_BITS, 1, 0, _CLONE_NAMESPACES),
        (_RETURN, 0, 0, _ALLOW),
        _refuse(),
    ]
