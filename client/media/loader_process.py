"""The processes in which files are decoded: `python -m client.media.loader_process FD BYTES`, started by `ForkServer`.

One process imports the decoders and from then on only forks workers, so that a new worker costs milliseconds
and shares that memory. (The fork server of `multiprocessing` would import the program's main module into each
worker, and needs a folder on a disk that may be full.) It takes orders from a socket, a message each:

    b"fork", with the worker's end of a pipe    answered with the process id
    b"1234", a process id                       killed if it still lives, and reaped; answered with its exit code
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
from multiprocessing.connection import Connection

# Imported for the workers, which find them loaded.
import client.media.image
import client.media.video  # noqa: F401
from client.errors import MediaError
from client.media.worker import prepare_worker


def main(control: socket.socket, memory_bytes: int) -> None:
    """Fork workers until the parent closes its end of `control`, or is gone; then end them all.

    Each may take `memory_bytes`.
    """
    gc.freeze()  # the first collection of a worker would else copy all that it shares
    children: set[int] = set()
    here = os.getpid()
    with contextlib.suppress(ConnectionError):  # the parent was killed
        while True:
            order, handles, _, _ = socket.recv_fds(control, 32, 1)
            if not order:
                break
            if handles:
                pid = os.fork()
                if pid == 0:
                    control.close()
                    prepare_worker(here, memory_bytes)
                    serve(Connection(handles[0]))
                    os._exit(0)
                os.close(handles[0])
                children.add(pid)
                control.send(b"%d" % pid)
            else:
                pid, exit_code = int(order), -signal.SIGTERM
                if pid in children:  # not of a process before this one
                    os.kill(pid, signal.SIGKILL)
                    _, status = os.waitpid(pid, 0)
                    children.remove(pid)
                    exit_code = os.waitstatus_to_exitcode(status)
                control.send(b"%d" % exit_code)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def serve(connection: Connection) -> None:
    """Do what is sent, `(function, arguments)`, and send back each item that it yields, and then an end mark.

    That is None, or a MediaError that says what went wrong: nothing more is sent about this file. What is not received
    yet holds up the function: no more than one item lies here.
    """
    with contextlib.suppress(EOFError, ConnectionError):  # nobody is there any more
        while True:
            work, arguments = connection.recv()
            end: MediaError | None = None
            try:
                for item in work(*arguments):
                    connection.send(item)
            except MediaError as error:
                end = error
            except MemoryError:
                end = MediaError("decoding it takes more memory than a file may take")
            connection.send(end)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
