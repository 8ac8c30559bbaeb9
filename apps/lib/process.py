import os
import socket
import threading


def process_name() -> str:
    """Return host, process and thread: who did something, in events and leases."""
    return f"{this_process()}:{threading.current_thread().name}"[:120]


def this_process() -> str:
    """Return host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"
