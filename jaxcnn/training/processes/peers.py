"""The processes of a run watch each other: where one is gone, the others say so and end, before JAX aborts them.

Each holds a connection to process 0, which the kernel closes however a process ends. JAX's own service notices the end
of a process after 100 seconds, and then aborts all others with a dump of C++.
"""

import contextlib
import os
import socket
import threading
import time
from typing import Any

DONE, FAILED = b".", b"!"
PATIENCE = 20  # seconds for the connections to be made
GRACE = 5  # seconds in which all may come to the same error, each with its own words
LOOK = 2  # seconds after an error in which the connection to a process that is gone is closed too
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}  # a host that is lost is noticed after 25 s


class Peers:
    """This process's connections to the others of a run.

    Args:
      host: a name of process 0's host, for the others.
      process: the number of this process.
      count: how many there are.
      of_first: gives all processes a text of process 0.
    """

    def __init__(self, host: str, process: int, count: int, of_first: Any) -> None:
        self.code = None  # the exit code, when this process has come to its end
        if process:
            host, _, port = of_first("").rpartition(":")
            link = socket.create_connection((host, int(port)), timeout=PATIENCE)
            link.sendall(process.to_bytes(4, "big"))
            self.links = {0: link}
        else:
            both = socket.has_dualstack_ipv6()
            family = socket.AF_INET6 if both else socket.AF_INET
            with socket.create_server(("", 0), family=family, dualstack_ipv6=both, backlog=count) as server:
                of_first(f"{host}:{server.getsockname()[1]}")
                server.settimeout(PATIENCE)
                links = [server.accept()[0] for _ in range(count - 1)]
            self.links = {int.from_bytes(link.recv(4, socket.MSG_WAITALL), "big"): link for link in links}
        for number, link in self.links.items():
            link.settimeout(None)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEPALIVE.items():
                if hasattr(socket, option):  # not on every system
                    link.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
            threading.Thread(target=self._watch, args=(number, link), daemon=True).start()

    def _watch(self, number, link):
        try:
            said = link.recv(1)
        except OSError:
            said = b""
        if said == DONE:
            return
        if said == FAILED:
            time.sleep(GRACE)
        if not self.code:
            text = (
                f"jaxcnn: process {number} of this run {'failed' if said else 'is gone'}; its own output may say why. "
                "The same command, started again on all hosts, resumes from the last checkpoint.\n"
            )
            os.write(2, text.encode())
        os._exit(self.code or 1)

    def look(self) -> None:
        """Ends this process where an error came from the end of another one, which its connection may tell later."""
        time.sleep(LOOK)

    def end(self, code: int) -> None:
        """Tells the others that this process has come to its end; where it failed, they end too."""
        self.code = code
        for link in self.links.values():
            with contextlib.suppress(OSError):  # gone already
                link.sendall(FAILED if code else DONE)
