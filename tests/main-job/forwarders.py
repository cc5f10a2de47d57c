"""A TCP forwarder that can be cut: what a broken network looks like."""

import socket
import threading


class Forwarder:
    """Listens on `host` and forwards to `target`, "host:port"."""

    def __init__(self, target, host="127.0.0.1"):
        target_host, _, port = target.rpartition(":")
        self.host, self.target = host, (target_host, int(port))
        self.lock = threading.Lock()
        self.connections = set()
        self.cut_after = []  # for each next connection: bytes to the client, then the cut; then no cuts
        self.cuts = 0
        self.listener = None
        self.port = 0
        self.open()

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def open(self):
        self.listener = socket.create_server((self.host, self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def close(self):
        """Cuts all connections and refuses new ones, until it is opened again."""
        listener, self.listener = self.listener, None
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        with self.lock:
            for connection in self.connections:
                self.end(connection)

    @staticmethod
    def end(connection):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:  # it has ended already
            pass

    def accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(self.target, timeout=10)
            except OSError:
                if self.listener is not listener:
                    return
                client.close()
                continue
            server.settimeout(None)
            with self.lock:
                if self.listener is not listener:  # it was closed meanwhile
                    client.close()
                    server.close()
                    return
                self.connections |= {client, server}
                budget = self.cut_after.pop(0) if self.cut_after else None
            threading.Thread(target=self.pump, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, budget), daemon=True).start()

    def pump(self, source, sink, budget):
        try:
            while budget is None or budget > 0:
                chunk = source.recv(65536 if budget is None else min(65536, budget))
                if not chunk:
                    break
                sink.sendall(chunk)
                budget = None if budget is None else budget - len(chunk)
            else:
                self.cuts += 1
        except OSError:
            pass
        self.end(source)
        self.end(sink)
        with self.lock:
            self.connections -= {source}
        source.close()
