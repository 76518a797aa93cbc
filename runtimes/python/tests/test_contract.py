"""What every served image answers."""

import json
import socket
import time
import unittest
from http.client import HTTPConnection

from .server import Server

ECHO = """
class k8s_api_model:
    def load(self, model_path):
        return 'session'
    def predict(self, session, input):
        if input == 'fail':
            raise ValueError('no such flower\\nsecond line')
        if input == 'object':
            return object()
        if input == 'nan':
            return [1.5, float('nan'), float('inf')]
        return {'session': session, 'input': input}
"""


class Contract(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(ECHO, SLIPWAY_MAX_BODY="1000")
        cls.server.wait()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def ask(self, *args, **kwargs):
        return self.server.ask(*args, **kwargs)

    def test_says_that_it_is_up_ready_and_done(self):
        self.assertEqual(self.ask("GET", "/healthz"), (200, {"state": "up"}))
        self.assertEqual(self.ask("GET", "/readyz"), (200, {"state": "done"}))
        self.assertEqual(self.ask("GET", "/"), (200, {"state": "done"}))
        self.assertEqual(self.ask("POST", "/"), (200, {"state": "done"}))
        self.assertEqual(self.ask("POST", "/", {"a": 1}), (200, {"state": "done"}))

    def test_predicts_in_both_spellings(self):
        answer = {"session": "session", "input": [1, 2]}
        self.assertEqual(self.ask("POST", "/predict", {"input": [1, 2]}), (200, {"output": answer}))
        self.assertEqual(self.ask("POST", "/result", {"test": [1, 2]}), (200, {"result": answer}))
        self.assertEqual(self.ask("POST", "/predict", {"input": None})[1]["output"]["input"], None)

    def test_a_prediction_that_fails_is_a_500_with_its_reason_in_one_line(self):
        self.assertEqual(
            self.ask("POST", "/predict", {"input": "fail"}), (500, {"error": "ValueError: no such flower"})
        )
        status, body = self.ask("POST", "/predict", {"input": "object"})
        self.assertEqual(status, 500)
        self.assertIn("object", body["error"])

    def test_what_is_not_a_number_becomes_null(self):
        self.assertEqual(self.ask("POST", "/predict", {"input": "nan"}), (200, {"output": [1.5, None, None]}))

    def test_a_body_that_is_wrong_is_a_400_naming_the_problem(self):
        status, body = self.ask("POST", "/predict", b"{")
        self.assertEqual(status, 400)
        self.assertIn("not JSON", body["error"])
        for wrong in ([1], {"test": 1}, "text", None):
            status, body = self.ask("POST", "/predict", json.dumps(wrong).encode())
            self.assertEqual(status, 400)
            self.assertIn('"input"', body["error"])
        self.assertEqual(self.ask("POST", "/result", {"input": 1})[0], 400)
        self.assertEqual(self.ask("POST", "/predict")[0], 400)
        self.assertEqual(self.ask("POST", "/predict", b"[" * 900)[0], 400)

    def test_a_body_that_is_too_long_is_refused(self):
        self.assertEqual(self.ask("POST", "/predict", b" " * 1001)[0], 413)
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        connection.request("POST", "/predict", iter([b" " * 600, b" " * 600]), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"})
        self.assertEqual(connection.getresponse().status, 413)
        connection.close()

    def test_unknown_paths_and_wrong_methods_are_told_apart(self):
        self.assertEqual(self.ask("GET", "/nothing")[0], 404)
        self.assertEqual(self.ask("GET", "/predict")[0], 405)
        self.assertEqual(self.server.headers["Allow"], "POST")
        self.assertEqual(self.ask("DELETE", "/readyz")[0], 405)
        self.assertEqual(self.ask("HEAD", "/readyz"), (200, ""))

    def test_a_connection_is_kept_alive_and_survives_an_unread_body(self):
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        for _ in range(3):
            self.assertEqual(self.ask("GET", "/healthz", connection=connection)[0], 200)
        self.assertIsNotNone(connection.sock)
        self.assertEqual(self.ask("POST", "/nothing", {"a": 1}, connection=connection)[0], 404)
        self.assertEqual(self.ask("POST", "/predict", {"input": 1}, connection=connection)[0], 200)
        connection.close()

    def test_a_client_that_is_slow_to_close_its_connection_holds_up_nobody(self):
        slow = [socket.create_connection(("127.0.0.1", self.server.port), timeout=20) for _ in range(3)]
        for each in slow:
            each.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while each.recv(4096):
                pass
        started = time.monotonic()
        self.assertEqual(self.ask("GET", "/healthz")[0], 200)
        self.assertLess(time.monotonic() - started, 1)
        for each in slow:
            each.close()

    def test_a_managed_container_is_not_changed_in_place(self):
        for path in ("/src_download", "/model_download"):
            status, body = self.ask("POST", path)
            self.assertEqual(status, 409)
            self.assertIn("slipway deploy", body["error"])

    def test_counts_what_it_does(self):
        self.ask("POST", "/predict", {"input": 1})
        status, text = self.ask("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertIn('slipway_predictions_total{outcome="answered"}', text)
        self.assertIn("slipway_model_loaded 1.0", text)



class BelowABasePath(unittest.TestCase):
    def test_answers_with_and_without_it(self):
        with Server(ECHO, SLIPWAY_BASE_PATH="/inference") as server:
            server.wait()
            for path in ("/inference/predict", "/predict"):
                status, body = server.ask("POST", path, {"input": 1})
                self.assertEqual((status, body["output"]["input"]), (200, 1))
            self.assertEqual(server.ask("GET", "/inference"), (200, {"state": "done"}))
            self.assertEqual(server.ask("GET", "/readyz"), (200, {"state": "done"}))
            self.assertEqual(server.ask("POST", "/inferences/predict", {"input": 1})[0], 404)


if __name__ == "__main__":
    unittest.main()
