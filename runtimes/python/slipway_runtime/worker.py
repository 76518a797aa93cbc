"""gunicorn's worker with threads, made to hold up nobody and to lose no connection that it has let in."""

from gunicorn.workers.gthread import ThreadWorker


class Worker(ThreadWorker):
    """One process with threads, whose main loop accepts connections."""

    _refusing = False

    def notify(self):
        """gunicorn calls this whenever its main loop comes round: after each event, and once a second."""
        super().notify()
        self.app.drain.note(self.nr_conns)

    def handle(self, conn):
        """gunicorn closes a connection in its main loop and gives the client up to two seconds to close it too: for
        so long nobody else would be served. Here the thread that answered waits."""
        keep = super().handle(conn)
        # Versions that do not wait answer with something else.
        if keep is False:
            conn.close(graceful=True)
            conn.close = _closed_already
        return keep

    def set_accept_enabled(self, enabled):
        """At the end gunicorn stops accepting and leaves its sockets open while requests are answered: clients would
        go on connecting, send a request and lose it. Here they are refused, and may try elsewhere."""
        super().set_accept_enabled(enabled)
        if enabled or self.alive or self._refusing:
            return
        self._refusing = True
        for listener in self.sockets:
            # Those that have connected already are let in.
            known = None
            while known != self.nr_conns:
                known = self.nr_conns
                self.accept(listener)
            listener.close()


def _closed_already(**_):
    pass
