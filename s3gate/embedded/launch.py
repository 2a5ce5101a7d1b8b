"""Becomes another program that dies when its parent dies.

Run by path with `python -I -S`, so it may import nothing but the standard library, and it knows nothing of
what it starts. The order is the point: the kernel forgets the death signal when the uid changes, so the uid
changes first; the signal is bound to the parent's *thread*, so the parent forks from its main thread; and the
parent may have died before we asked, so we look at getppid() afterwards.

    launch.py PARENT_PID SIGNAL IDENTITY COMMAND...
    IDENTITY: `same`, `UID:GID` (give up root) or `userns:UID` (root outside, UID inside a user namespace)
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
CANNOT_START = 126


def drop_to(uid: int, gid: int) -> None:
    """Give up root for good."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def enter_user_namespace(uid: int) -> None:
    """Be `uid` inside, while outside files stay those of whoever started us: nothing needs a chown."""
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outside_uid} 1"),
        ("gid_map", f"{uid} {outside_gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def take_identity(text: str) -> None:
    """Change to the identity that the command line names."""
    if text == "same":
        return
    first, _, second = text.partition(":")
    if first == "userns":
        enter_user_namespace(int(second))
    else:
        drop_to(int(first), int(second))


def die_with_parent(parent: int, death_signal: int) -> None:
    """Linux sends `death_signal` when the parent's thread ends. Elsewhere there is no such promise."""
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(CANNOT_START)


def find(program: str) -> str:
    """The path of a program, as a shell would find it."""
    if "/" in program:
        return program
    places = [os.path.join(directory, program) for directory in os.get_exec_path()]
    return next(filter(os.path.exists, places), program)


def reset_signals() -> None:
    """Python ignores these two for itself, and a process inherits what is ignored or blocked."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main(arguments: list[str]) -> None:
    """Change identity, ask for the death signal, become the command."""
    parent, death_signal, identity, *command = arguments
    try:
        program = find(command[0])  # before we may lose sight of Python's own library
        take_identity(identity)
        die_with_parent(int(parent), int(death_signal))
        reset_signals()
        os.execv(program, command)
    except OSError as error:
        print(f"cannot start {command[0]}: {error}", file=sys.stderr, flush=True)
        os._exit(CANNOT_START)


if __name__ == "__main__":
    main(sys.argv[1:])
