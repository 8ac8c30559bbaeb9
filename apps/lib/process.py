import os
import socket
import threading


def process_name() -> str:
    """Return host, process and thread: who did something, in events and leases."""
    return f"{socket.gethostname()}:{os.getpid()}:{threading.current_thread().name}"[:120]
