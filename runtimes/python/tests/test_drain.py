"""The end of a server that requests are still sent to."""

import socket
import threading
import time
import unittest
from http.client import HTTPConnection

from .server import Server

ECHO = """
import time
class k8s_api_model:
    def load(self, model_path):
        return 1
    def predict(self, session, input):
        time.sleep(input)
        return input
"""


def ask(connection, input=0):
    """Status and whether the server closes the connection."""
    connection.request("POST", "/predict", f'{{"input": {input}}}', {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    return response.status, response.headers["Connection"] == "close"


class Drain(unittest.TestCase):
    def connect(self, server):
        connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
        # Opened by hand only: http.client would hide that it was closed by opening it anew.
        connection.auto_open = 0
        connection.connect()
        self.addCleanup(connection.close)
        return connection

    def test_for_a_while_requests_are_answered_on_kept_and_new_connections_which_then_close(self):
        with Server(ECHO, SLIPWAY_LINGER="2") as server:
            server.wait()
            kept, busy = self.connect(server), self.connect(server)
            self.assertEqual(ask(kept), (200, False))
            self.assertEqual(ask(busy), (200, False))
            under_way = []
            thread = threading.Thread(target=lambda: under_way.append(ask(busy, 3)))
            thread.start()
            time.sleep(0.3)
            terminated = time.monotonic()
            server.terminate()
            time.sleep(0.5)
            self.assertEqual(ask(kept), (200, True))
            self.assertEqual(server.ask("GET", "/readyz")[0], 200)
            while time.monotonic() - terminated < 1.7:
                self.assertEqual(ask(self.connect(server)), (200, True))
                time.sleep(0.05)
            self.assertIsNone(server.process.poll())
            thread.join()
            self.assertEqual(under_way[0][0], 200)
            self.assertEqual(server.process.wait(10), 0)
            self.assertGreater(time.monotonic() - terminated, 2)

    def test_a_connection_that_stays_idle_is_closed_at_the_end_and_not_before(self):
        with Server(ECHO, SLIPWAY_LINGER="2") as server:
            server.wait()
            idle = self.connect(server)
            self.assertEqual(ask(idle), (200, False))
            terminated = time.monotonic()
            server.terminate()
            # What a client sees who has nothing to send: the end of the stream.
            self.assertEqual(idle.sock.recv(1), b"")
            self.assertGreater(time.monotonic() - terminated, 2)
            self.assertEqual(server.process.wait(10), 0)

    def test_it_ends_sooner_when_nobody_has_been_connected_for_a_second(self):
        with Server(ECHO, SLIPWAY_LINGER="60") as server:
            server.wait()
            idle = self.connect(server)
            self.assertEqual(ask(idle), (200, False))
            server.terminate()
            time.sleep(2.5)
            self.assertIsNone(server.process.poll())
            idle.close()
            time.sleep(0.5)
            # As a kubelet does now and then.
            self.assertEqual(server.ask("GET", "/readyz")[0], 200)
            left = time.monotonic()
            self.assertEqual(server.process.wait(10), 0)
            self.assertGreater(time.monotonic() - left, 0.9)

    def test_a_connection_now_and_then_holds_up_the_end_for_no_longer_than_the_linger(self):
        with Server(ECHO, SLIPWAY_LINGER="4") as server:
            server.wait()
            terminated = time.monotonic()
            server.terminate()
            while time.monotonic() - terminated < 3.4:
                time.sleep(0.5)
                self.assertEqual(ask(self.connect(server)), (200, True))
            self.assertEqual(server.process.wait(10), 0)
            self.assertLess(time.monotonic() - terminated, 8)

    def test_without_a_linger_the_end_begins_at_once(self):
        with Server(ECHO) as server:
            server.wait()
            started = time.monotonic()
            server.terminate()
            self.assertEqual(server.process.wait(10), 0)
            self.assertLess(time.monotonic() - started, 4)
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", server.port), timeout=1)

    def test_while_requests_in_flight_are_answered_others_are_refused_not_let_in_and_lost(self):
        with Server(ECHO) as server:
            server.wait()
            under_way = []
            busy = self.connect(server)
            thread = threading.Thread(target=lambda: under_way.append(ask(busy, 4)))
            thread.start()
            time.sleep(0.5)
            server.terminate()
            time.sleep(1.5)
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", server.port), timeout=1)
            thread.join()
            self.assertEqual(under_way[0][0], 200)
            self.assertEqual(server.process.wait(10), 0)

    def test_a_second_sigterm_ends_the_wait(self):
        with Server(ECHO, SLIPWAY_LINGER="60") as server:
            server.wait()
            open_still = self.connect(server)
            self.assertEqual(ask(open_still), (200, False))
            server.terminate()
            time.sleep(2)
            self.assertEqual(server.ask("GET", "/healthz")[0], 200)
            server.terminate()
            self.assertEqual(server.process.wait(10), 0)

    def test_a_server_that_is_still_loading_ends_too(self):
        with Server(ECHO.replace("return 1", "time.sleep(3600)"), SLIPWAY_LINGER="1") as server:
            server.wait("/healthz")
            server.terminate()
            self.assertEqual(server.process.wait(10), 0)

    def test_one_request_after_the_other_on_one_connection_loses_none(self):
        with Server(ECHO, SLIPWAY_LINGER="2") as server:
            server.wait()
            server_ended = threading.Event()
            lost = []

            def client():
                connection = self.connect(server)
                while not server_ended.is_set():
                    try:
                        status, closes = ask(connection)
                        if status != 200:
                            lost.append(status)
                        if closes:
                            connection = self.connect(server)
                    except OSError as error:
                        lost.append(error)
                    time.sleep(0.01)

            clients = [threading.Thread(target=client) for _ in range(4)]
            for each in clients:
                each.start()
            time.sleep(0.5)
            server.terminate()
            time.sleep(1.8)
            server_ended.set()
            for each in clients:
                each.join()
            self.assertEqual(lost, [])
            self.assertEqual(server.process.wait(10), 0)


if __name__ == "__main__":
    unittest.main()
