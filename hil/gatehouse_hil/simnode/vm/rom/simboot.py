# mypy: ignore-errors
"""Makes the browser VM behave like a chip: blocking asyncio, naps that can be interrupted, POSIX error numbers, flash at /.

What the pyscript build lacks and why is in docs/simulated-nodes.md. Everything here runs once, before boot.py.
"""

import builtins
import os
import sys
import time

import _board

# ---- naps: the one place where time passes, where Ctrl-C arrives and where interrupt handlers run

_HANDLERS = {}  # kind of interrupt -> function(number, hex)


_is_dispatching = False


def dispatch():
    """Run the handlers of everything that has happened outside; a handler is not interrupted by another."""
    global _is_dispatching
    if _is_dispatching:
        return
    _is_dispatching = True
    try:
        kind = _board.irq_next()
        while kind:
            number, handle, text = _board.irq_number(), _board.irq_handle(), _board.irq_hex()
            handler = _HANDLERS.get(kind)
            if handler:
                handler(kind, number, handle, text)
            kind = _board.irq_next()
    finally:
        _is_dispatching = False


def nap(ms, for_uart=False):
    """Let `ms` milliseconds pass, or less when bytes came, a handler ran or a timer was due."""
    for timer in timers:
        ms = min(ms, time.ticks_diff(timer._due, time.ticks_ms()))
    if _board.wait(max(0, ms), for_uart) == 2:
        dispatch()
    for timer in list(timers):
        if time.ticks_diff(timer._due, time.ticks_ms()) <= 0:
            timer._ring()


timers = []  # running machine.Timer objects


def sleep_ms(ms):
    end = time.ticks_add(time.ticks_ms(), int(ms))
    while True:
        left = time.ticks_diff(end, time.ticks_ms())
        nap(left)
        if time.ticks_diff(end, time.ticks_ms()) <= 0:
            return


time.sleep_ms = sleep_ms
time.sleep = lambda s: sleep_ms(int(s * 1000))
time.sleep_us = lambda us: sleep_ms(us // 1000) if us >= 1000 else None

# ---- errors: the VM's libc has numbers of its own

_NUMBERS = {
    44: 2,
    20: 17,
    54: 20,
    31: 21,
    55: 39,
    2: 13,
    8: 9,
    28: 22,
    51: 28,
    10: 16,
    63: 1,
    29: 5,
    43: 19,
    75: 18,
    69: 30,
}


def _posix(function):
    def call(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except OSError as error:
            raise OSError(_NUMBERS.get(error.errno, error.errno))

    return call


for _name in (
    "stat",
    "listdir",
    "ilistdir",
    "mkdir",
    "remove",
    "rename",
    "rmdir",
    "unlink",
    "chdir",
    "statvfs",
):
    setattr(os, _name, _posix(getattr(os, _name)))
_plain_ilistdir = os.ilistdir


def _ilistdir(path="."):
    for entry in _plain_ilistdir(path):
        name = entry[0]
        full = name if path == "." else "%s/%s" % (path.rstrip("/") if path != "/" else "", name)
        yield (name, entry[1], 0, os.stat(full)[6])


os.ilistdir = _ilistdir
builtins.open = _posix(open)
_io = __import__("io")
try:
    _io.open = builtins.open
except AttributeError:
    pass


class _Errno:
    EPERM, ENOENT, EIO, EBADF, EAGAIN, ENOMEM, EACCES, EEXIST, ENODEV, EISDIR, EINVAL = (
        1,
        2,
        5,
        9,
        11,
        12,
        13,
        17,
        19,
        21,
        22,
    )
    ENOTDIR, ENOSPC, EOPNOTSUPP, EADDRINUSE, ECONNABORTED, ECONNRESET, ENOBUFS, ENOTCONN = (
        20,
        28,
        95,
        98,
        103,
        104,
        105,
        107,
    )
    ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH, EALREADY, EINPROGRESS = 110, 111, 113, 114, 115
    errorcode = {1: "EPERM", 2: "ENOENT", 5: "EIO", 11: "EAGAIN", 12: "ENOMEM", 13: "EACCES", 17: "EEXIST", 19: "ENODEV", 21: "EISDIR", 22: "EINVAL", 28: "ENOSPC", 110: "ETIMEDOUT"}  # fmt: skip


sys.modules["errno"] = _Errno


# ---- os: what a chip has and the browser has not


class _Uname:
    sysname = nodename = "esp32"
    release = "1.29.0"
    version = sys.version.split("; ")[-1]
    machine = "Gatehouse simulated %s" % _board.fact("board").upper()

    def __repr__(self):
        return "(sysname='esp32', nodename='esp32', release='%s', version='%s', machine='%s')" % (self.release, self.version, self.machine)  # fmt: skip


def _urandom(n):
    import uctypes

    data = bytearray(n)
    if n:
        _board.random(uctypes.addressof(data), n)
    return bytes(data)


os.uname = _Uname
os.urandom = _urandom
os.sync = lambda: None

# ---- asyncio: the frozen scheduler of this VM waits for a browser's timers; here it blocks, as on a chip

import asyncio

core = asyncio.core
_next_ms = None


def _schedule(ms):
    global _next_ms
    _next_ms = ms


core._schedule_run_iter = _schedule
core.new_event_loop()
_waiting = []  # (stream, task) of tasks that wait for bytes


class Stream:
    """asyncio.StreamReader and StreamWriter over an object with any(), read(), readinto() and write()."""

    def __init__(self, s, e={}):
        self.s = s
        self.e = e
        self.out_buf = b""

    def get_extra_info(self, v):
        return self.e[v]

    def close(self):
        pass

    async def wait_closed(self):
        pass

    def remove(self, task):
        for at, (_, waiting) in enumerate(_waiting):
            if waiting is task:
                _waiting.pop(at)
                return

    def _readable(self):
        while not self.s.any():
            _waiting.append((self.s, core.cur_task))
            core.cur_task.data = self
            yield

    def read(self, n=-1):
        yield from self._readable()
        return self.s.read(n)

    def readinto(self, buf):
        yield from self._readable()
        return self.s.readinto(buf)

    def readexactly(self, n):
        whole = b""
        while len(whole) < n:
            yield from self._readable()
            whole += self.s.read(n - len(whole)) or b""
        return whole

    def readline(self):
        whole = b""
        while not whole.endswith(b"\n"):
            yield from self._readable()
            whole += self.s.read(1) or b""
        return whole

    def write(self, buf):
        if not self.out_buf:
            self.s.write(buf)
        else:
            self.out_buf += buf

    def drain(self):
        yield from core.sleep_ms(0)


class ThreadSafeFlag:
    """asyncio.ThreadSafeFlag: set from an interrupt handler, waited for by one task."""

    def __init__(self):
        self.state = 0

    def set(self):
        self.state = 1

    def clear(self):
        self.state = 0

    def any(self):
        return self.state

    def remove(self, task):
        Stream.remove(self, task)

    async def wait(self):
        await Stream._readable(self)
        self.state = 0

    @property
    def s(self):
        return self


asyncio.Stream = asyncio.StreamReader = asyncio.StreamWriter = Stream
asyncio.ThreadSafeFlag = ThreadSafeFlag


def _wake_readers():
    at = 0
    while at < len(_waiting):
        source, task = _waiting[at]
        if source.any():
            _waiting.pop(at)
            task.data = None
            core._task_queue.push(task)
        else:
            at += 1


def run_until_complete(main):
    """Run the scheduler until the task `main` has ended; return or raise what it did."""
    global _next_ms
    try:
        while True:
            _next_ms = None
            core._run_iter()
            if main.done():
                ended = main.data
                if isinstance(ended, StopIteration):
                    return ended.value
                if isinstance(ended, BaseException):
                    raise ended
                return None
            _wake_readers()
            if not core._task_queue.peek() or _next_ms is not None:
                wait_ms = 1000 if _next_ms is None else _next_ms
                if core._task_queue.peek():
                    wait_ms = max(0, time.ticks_diff(core._task_queue.peek().ph_key, time.ticks_ms()))
                nap(wait_ms, bool(_waiting))
                _wake_readers()
    finally:
        _waiting.clear()
        core.cur_task = core._top_level_task


def _run(coro):
    return run_until_complete(core.create_task(coro))


def _new_event_loop():
    core.new_event_loop_()
    _waiting.clear()
    return core.Loop


core.new_event_loop_ = core.new_event_loop
core.new_event_loop = asyncio.new_event_loop = _new_event_loop
asyncio.run = core.run = _run
asyncio.run_until_complete = core.run_until_complete = run_until_complete
core.Loop.run_until_complete = staticmethod(lambda coro: run_until_complete(core._promote_to_task(coro)))


def _run_forever():
    core._forever = core.Future() if hasattr(core, "Future") else None
    while True:
        core._run_iter()
        nap(1000 if _next_ms is None else _next_ms, bool(_waiting))
        _wake_readers()


core.Loop.run_forever = staticmethod(_run_forever)

# ---- line coverage (only the settrace build of the VM has sys.settrace)


def _cover():
    seen = {}

    def trace(frame, event, arg):
        if event in ("line", "call"):
            name = frame.f_code.co_filename
            lines = seen.get(name)
            if lines is None:
                lines = seen[name] = set()
            line = frame.f_lineno
            if line not in lines:
                lines.add(line)
                _board.lines(name, str(line))
        return trace

    sys.settrace(trace)


# ---- boot


def run(name):
    """Run boot.py or main.py; return how it ended: "done", "error" or "soft reset"."""
    import micropython

    micropython.kbd_intr(3)
    try:
        with open(name) as source:
            text = source.read()
    except OSError:
        return "done"
    try:
        if _board.fact("settrace"):
            _cover()
        exec(compile(text, name, "exec"), {"__name__": "__main__"})
        return "done"
    except SystemExit:
        return "soft reset"
    except (Exception, KeyboardInterrupt) as error:
        sys.print_exception(error)
        return "error"
    finally:
        if _board.fact("settrace"):
            sys.settrace(None)


def leave():
    """What the REPL starts with."""
    import micropython

    micropython.kbd_intr(3)


import bluetooth
import cryptolib
import esp32
import machine

vfs = __import__("vfs")
os.chdir("/")
vfs.umount("/rom")
sys.path[:] = ["", ".frozen", "/lib"]
