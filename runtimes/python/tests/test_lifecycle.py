"""Loading, unloading, failing and ending."""

import threading
import time
import unittest

from .server import Server

SLOW = """
import time
class k8s_api_model:
    def load(self, model_path):
        time.sleep(0.7)
        return 1
    def predict(self, session, input):
        time.sleep(input)
        return input
"""
CRASH = """
class k8s_api_model:
    def load(self, model_path):
        raise RuntimeError('these weights are broken')
    def predict(self, session, input):
        return input
"""
EXIT = CRASH.replace("raise RuntimeError('these weights are broken')", "raise SystemExit(0)")
ONCE = """
import os
class k8s_api_model:
    built = 0
    def build(self):
        self.built += 1
    def load(self, model_path):
        path = os.path.join(model_path, 'gone')
        if os.path.exists(path):
            raise OSError('the disk is gone')
        return self.built
    def predict(self, session, input):
        return session
"""


class Lifecycle(unittest.TestCase):
    def test_answers_while_it_loads(self):
        with Server(SLOW) as server:
            server.wait("/healthz")
            self.assertEqual(server.ask("GET", "/readyz"), (503, {"state": "loading"}))
            self.assertEqual(server.ask("POST", "/"), (503, {"state": "loading"}))
            # A prediction that comes too early waits for its turn.
            self.assertEqual(server.ask("POST", "/predict", {"input": 0}), (200, {"output": 0}))

    def test_a_failure_of_the_first_load_ends_the_process_and_says_why(self):
        for code, reason in ((CRASH, "RuntimeError: these weights are broken"), (EXIT, "SystemExit")):
            with Server(code) as server:
                self.assertNotEqual(server.process.wait(20), 0)
                self.assertIn("Traceback", server.output())
                self.assertIn(reason, server.output())

    def test_an_unloaded_model_is_loaded_on_demand(self):
        with Server(ONCE) as server:
            server.wait()
            self.assertEqual(server.ask("POST", "/unload"), (200, {"state": "unloaded"}))
            self.assertEqual(server.ask("GET", "/"), (503, {"state": "unloaded"}))
            self.assertEqual(server.ask("GET", "/readyz?load=false"), (200, {"state": "unloaded"}))
            self.assertEqual(server.ask("GET", "/"), (503, {"state": "unloaded"}))
            self.assertEqual(server.ask("GET", "/readyz"), (200, {"state": "done"}))
            server.ask("POST", "/unload")
            self.assertEqual(server.ask("POST", "/predict", {"input": 0}), (200, {"output": 1}))
            server.ask("POST", "/unload")
            self.assertEqual(server.ask("POST", "/load"), (200, {"state": "done"}))
            self.assertEqual(server.ask("POST", "/load"), (200, {"state": "done"}))
            self.assertEqual(len(server.workers()), 1)

    def test_a_later_load_that_fails_leaves_the_process_up_and_says_why(self):
        with Server(ONCE) as server:
            server.wait()
            server.ask("POST", "/unload")
            gone = server.log.parent / "model" / "gone"
            gone.write_text("")
            failed = (503, {"state": "failed", "error": "OSError: the disk is gone"})
            self.assertEqual(server.ask("POST", "/load"), failed)
            self.assertEqual(server.ask("GET", "/readyz"), failed)
            self.assertEqual(server.ask("GET", "/healthz")[0], 200)
            self.assertEqual(server.ask("POST", "/predict", {"input": 0})[0], 503)
            gone.unlink()
            self.assertEqual(server.ask("POST", "/load"), (200, {"state": "done"}))

    def test_sigterm_lets_requests_in_flight_finish_and_ends_with_0(self):
        with Server(SLOW) as server:
            server.wait()
            answers = []
            asking = [
                threading.Thread(target=lambda: answers.append(server.ask("POST", "/predict", {"input": 1.5})))
                for _ in range(4)
            ]
            for thread in asking:
                thread.start()
            time.sleep(0.5)
            server.terminate()
            for thread in asking:
                thread.join()
            self.assertEqual(answers, [(200, {"output": 1.5})] * 4)
            self.assertEqual(server.process.wait(10), 0)

    def test_health_is_answered_while_all_predictions_are_slow(self):
        with Server(SLOW, SLIPWAY_THREADS="2") as server:
            server.wait()
            asking = [
                threading.Thread(target=lambda: server.ask("POST", "/predict", {"input": 1})) for _ in range(12)
            ]
            for thread in asking:
                thread.start()
            time.sleep(0.3)
            started = time.monotonic()
            self.assertEqual(server.ask("GET", "/healthz")[0], 200)
            self.assertLess(time.monotonic() - started, 0.8)
            for thread in asking:
                thread.join()


if __name__ == "__main__":
    unittest.main()
