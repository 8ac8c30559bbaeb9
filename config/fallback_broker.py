"""The last resort for a broker: fakeredis behind a unix socket, as its own process. Nothing is kept on disk."""

import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from fakeredis import TcpFakeServer


class SocketFakeServer(TcpFakeServer):
    address_family = socket.AF_UNIX

    def get_request(self) -> tuple[Any, Any]:
        # It tells its clients apart by their address, which is empty on a unix socket.
        connection, _ = super().get_request()
        return connection, ("unix", next(self.client_ids))


def leave(signum: int, frame: FrameType | None) -> None:
    os._exit(0)  # its threads wait on their clients and would keep the process


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, leave)
    os.umask(0o077)
    Path(sys.argv[1]).unlink(missing_ok=True)
    address: Any = sys.argv[1]  # a path, where the annotation of a TCP server wants host and port
    SocketFakeServer(address, server_type="valkey").serve_forever()
