"""What a process needs of its system besides a network: locks, pidfiles, signals, start and stop.

Each part stands alone: nothing of RPC is imported with it. A name is imported when it is first
asked for. ``daemonize`` and ``activation`` are functions of the modules of the same names.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rpcgen.runtime.errors import LockBusy, PidfileBusy, ProcessError
    from rpcgen.runtime.process.child import start_with_pidfile
    from rpcgen.runtime.process.idle import IdleState, IdleTimer, Inhibitor
    from rpcgen.runtime.process.locks import FileLock, RangeLock, file_lock, lock_file, lock_range
    from rpcgen.runtime.process.logs import (
        LogFilter,
        LogOutput,
        Logs,
        parse_filters,
        parse_level,
        parse_outputs,
    )
    from rpcgen.runtime.process.notify import Notifier
    from rpcgen.runtime.process.pidfiles import (
        Pidfile,
        force_cleanup,
        pidfile,
        pidfile_path,
        read_pidfile,
        read_pidfile_if_alive,
        read_pidfile_if_locked,
    )
    from rpcgen.runtime.process.proc import command_of, is_alive, kill_painfully, runs
    from rpcgen.runtime.process.reexec import (
        execute,
        is_successor,
        load_state,
        own_command,
        resume_signals,
        save_state,
    )
    from rpcgen.runtime.process.reload import Reloader
    from rpcgen.runtime.process.signals import SignalHandlers, SignalRecord, stop_handlers
    from rpcgen.runtime.process.surroundings import (
        drop_privileges,
        forbid_core_dumps,
        raise_descriptor_limit,
        run_folder,
        set_umask,
        user_runtime_directory,
    )
else:
    from rpcgen.runtime.exports import lazy

    __getattr__, __dir__ = lazy(
        globals(),
        {
            "rpcgen.runtime.errors": "LockBusy PidfileBusy ProcessError",
            "rpcgen.runtime.process.child": "start_with_pidfile",
            "rpcgen.runtime.process.locks": "FileLock RangeLock file_lock lock_file lock_range",
            "rpcgen.runtime.process.pidfiles": "Pidfile force_cleanup pidfile pidfile_path"
            " read_pidfile read_pidfile_if_alive read_pidfile_if_locked",
            "rpcgen.runtime.process.proc": "command_of is_alive kill_painfully runs",
            "rpcgen.runtime.process.idle": "IdleState IdleTimer Inhibitor",
            "rpcgen.runtime.process.logs": "LogFilter LogOutput Logs parse_filters parse_level"
            " parse_outputs",
            "rpcgen.runtime.process.notify": "Notifier",
            "rpcgen.runtime.process.reexec": "execute is_successor load_state own_command"
            " resume_signals save_state",
            "rpcgen.runtime.process.reload": "Reloader",
            "rpcgen.runtime.process.signals": "SignalHandlers SignalRecord stop_handlers",
            "rpcgen.runtime.process.surroundings": "drop_privileges forbid_core_dumps"
            " raise_descriptor_limit run_folder set_umask user_runtime_directory",
        },
    )


__all__ = [
    "FileLock",
    "IdleState",
    "IdleTimer",
    "Inhibitor",
    "LockBusy",
    "LogFilter",
    "LogOutput",
    "Logs",
    "Notifier",
    "Pidfile",
    "PidfileBusy",
    "ProcessError",
    "RangeLock",
    "Reloader",
    "SignalHandlers",
    "SignalRecord",
    "command_of",
    "drop_privileges",
    "execute",
    "file_lock",
    "forbid_core_dumps",
    "force_cleanup",
    "is_alive",
    "is_successor",
    "kill_painfully",
    "load_state",
    "lock_file",
    "lock_range",
    "own_command",
    "parse_filters",
    "parse_level",
    "parse_outputs",
    "pidfile",
    "pidfile_path",
    "raise_descriptor_limit",
    "read_pidfile",
    "read_pidfile_if_alive",
    "read_pidfile_if_locked",
    "resume_signals",
    "run_folder",
    "runs",
    "save_state",
    "set_umask",
    "start_with_pidfile",
    "stop_handlers",
    "user_runtime_directory",
]
