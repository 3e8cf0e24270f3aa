"""What a child gives up before it looks at anybody's bytes (Linux)."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import resource
import select
import signal
from collections.abc import Iterator
from struct import pack
from typing import NamedTuple

SECCOMP, NAMESPACE, OPEN = "seccomp", "namespace", "open"
"""What keeps a child from the network: a filter of system calls, a network of its own without devices, nothing."""

_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_THREAD = 0x1000_0000, 0x4000_0000, 0x0001_0000
_PR_SET_NO_NEW_PRIVS = 38
_SYS_SECCOMP, _SET_MODE_FILTER, _GET_ACTION_AVAIL, _ALL_THREADS = 317, 1, 2, 1
_AUDIT_ARCH_X86_64, _X32 = 0xC000_003E, 0x4000_0000
_ALLOW, _ERRNO = 0x7FFF_0000, 0x0005_0000
# Instructions of classic BPF, as linux/filter.h has them.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

_REFUSED = {
    "socket": 41, "connect": 42, "accept": 43, "bind": 49, "listen": 50, "socketpair": 53, "accept4": 288,
    "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "io_uring_setup": 425,
    "truncate": 76, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85, "link": 86, "unlink": 87, "symlink": 88,
    "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93, "lchown": 94, "mknod": 133, "setxattr": 188,
    "lsetxattr": 189, "fsetxattr": 190, "mkdirat": 258, "mknodat": 259, "fchownat": 260, "unlinkat": 263,
    "renameat": 264, "linkat": 265, "symlinkat": 266, "fchmodat": 268, "utimensat": 280, "renameat2": 316,
    "fchmodat2": 452, "mount": 165, "umount2": 166, "unshare": 272, "setns": 308, "ptrace": 101,
    "process_vm_readv": 310, "process_vm_writev": 311, "perf_event_open": 298, "bpf": 321, "userfaultfd": 323,
    "keyctl": 250, "tkill": 200, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "pidfd_open": 434,
    "pidfd_send_signal": 424, "pidfd_getfd": 438,
}  # fmt: skip
"""System calls of x86-64 that a decoder has no use for: networks, processes, changes to files, others' memory."""
_UNKNOWN = {"clone3": 435, "openat2": 437}
"""Those whose arguments cannot be looked at; the C library goes on with the older ones."""
_CLONE, _OPEN, _OPENAT, _KILL, _TGKILL, _PRLIMIT = 56, 2, 257, 62, 234, 302


def die_with_parent(lifeline: int) -> None:
    """The kernel kills this process when the other end of the pipe is closed, however its owner ended and whatever runs
    here. (PR_SET_PDEATHSIG would follow the thread that started us, not the process.)"""
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline, select.POLLHUP)
    if poll.poll(0):
        raise SystemExit


def leave_network() -> None:
    """Into a network of its own, where there is no seccomp. Has to be called before there are threads."""
    if not _has_seccomp():
        ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def confine(memory: int, network_before: int) -> str:
    """From here on: no file is written, no process started, and `memory` bytes of address space beside those that are
    in use. Returns what keeps this process from the network; `network_before` names the one that it began in."""
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: SIM115
    for limit, most in (
        (resource.RLIMIT_AS, used + memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (most, most))
    if _has_seccomp() and _filter_calls():
        return SECCOMP
    return NAMESPACE if network() != network_before else OPEN


def network() -> int:
    """A number for the network that this process is in."""
    return os.stat("/proc/self/ns/net").st_ino


def _has_seccomp() -> bool:
    if platform.machine() != "x86_64":
        return False
    action = ctypes.c_uint32(_ERRNO)
    return bool(ctypes.CDLL(None).syscall(_SYS_SECCOMP, _GET_ACTION_AVAIL, 0, ctypes.byref(action)) == 0)


class _Instruction(NamedTuple):
    code: int
    if_true: int
    if_false: int
    k: int


def _filter_calls() -> bool:
    program = list(_program(os.getpid()))
    code = b"".join(pack("<HBBI", *instruction) for instruction in program)
    held = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: a count, padding, and where the instructions are
    handle = ctypes.create_string_buffer(pack("<HxxxxxxQ", len(program), ctypes.addressof(held)))
    libc = ctypes.CDLL(None)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    return bool(libc.syscall(_SYS_SECCOMP, _SET_MODE_FILTER, _ALL_THREADS, handle) == 0)


def _program(pid: int) -> Iterator[_Instruction]:
    """Refuses with an error, so that a library that tries goes on as if there were no network."""
    allow, refuse = _Instruction(_RETURN, 0, 0, _ALLOW), _Instruction(_RETURN, 0, 0, _ERRNO | errno.EPERM)
    unknown = _Instruction(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)
    yield _Instruction(_LOAD, 0, 0, 4)
    yield _Instruction(_EQUAL, 1, 0, _AUDIT_ARCH_X86_64)
    yield refuse
    yield _Instruction(_LOAD, 0, 0, 0)  # the number of the call
    yield _Instruction(_AT_LEAST, 0, 1, _X32)
    yield refuse
    for number in _REFUSED.values():
        yield _Instruction(_EQUAL, 0, 1, number)
        yield refuse
    for number in _UNKNOWN.values():
        yield _Instruction(_EQUAL, 0, 1, number)
        yield unknown
    for number, argument, test, k, if_so, otherwise in (
        (_CLONE, 0, _ANY_BIT, _CLONE_THREAD, allow, refuse),
        (_OPEN, 1, _ANY_BIT, _WRITES, refuse, allow),
        (_OPENAT, 2, _ANY_BIT, _WRITES, refuse, allow),
        (_KILL, 0, _EQUAL, pid, allow, refuse),
        (_TGKILL, 0, _EQUAL, pid, allow, refuse),
        (_PRLIMIT, 0, _EQUAL, 0, allow, refuse),
    ):
        yield _Instruction(_EQUAL, 0, 4, number)
        yield _Instruction(_LOAD, 0, 0, 16 + 8 * argument)
        yield _Instruction(test, 0, 1, k)
        yield if_so
        yield otherwise
    yield allow
