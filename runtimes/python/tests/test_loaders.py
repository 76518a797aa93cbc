"""Which file a recipe takes, and what it says when it cannot."""

import sys
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

from slipway_runtime.loaders import LoadError, loader_for, sklearn
from slipway_runtime.settings import Settings


class Sklearn(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.read = mock.Mock(side_effect=lambda path: path.name)
        modules = {
            "joblib": types.SimpleNamespace(load=self.read),
            "skops": types.SimpleNamespace(io=types.SimpleNamespace(load=self.read)),
            "skops.io": types.SimpleNamespace(load=self.read),
        }
        patch = mock.patch.dict(sys.modules, modules)
        patch.start()
        self.addCleanup(patch.stop)

    def load(self, *files, **env):
        for file in files:
            path = self.root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        return sklearn.load(Settings({"SLIPWAY_MODEL_PATH": str(self.root), "SLIPWAY_ALLOW_PICKLE": "1", **env}))

    def refusal(self, *files, **env):
        with self.assertRaises(LoadError) as raised:
            self.load(*files, **env)
        self.read.assert_not_called()
        return str(raised.exception)

    def test_takes_the_only_file_wherever_it_lies(self):
        self.assertEqual(self.load("README.md", "deep/er/model.PKL"), "model.PKL")

    def test_takes_the_named_file(self):
        self.assertEqual(self.load("a.joblib", "b.joblib", SLIPWAY_LOAD="b.joblib"), "b.joblib")

    def test_names_the_candidates_when_there_are_several_or_none(self):
        self.assertIn("a.joblib, b.pkl", self.refusal("a.joblib", "b.pkl"))

    def test_names_what_there_is_when_nothing_fits(self):
        self.assertIn("notes.txt", self.refusal("notes.txt"))

    def test_names_what_there_is_when_the_named_file_is_missing(self):
        self.assertIn("a.joblib", self.refusal("a.joblib", SLIPWAY_LOAD="c.joblib"))

    def test_leaves_the_weights_for_no_name(self):
        self.assertIn("outside", self.refusal("a.joblib", SLIPWAY_LOAD="../../etc/passwd"))

    def test_reads_no_pickle_without_consent(self):
        self.assertIn("SLIPWAY_ALLOW_PICKLE", self.refusal("a.joblib", SLIPWAY_ALLOW_PICKLE=""))

    def test_prefers_the_safe_format_and_needs_no_consent_for_it(self):
        self.assertEqual(self.load("a.joblib", "b.skops", SLIPWAY_ALLOW_PICKLE=""), "b.skops")

    def test_says_that_other_formats_want_another_recipe(self):
        self.assertIn("python-class", self.refusal("net.onnx", SLIPWAY_LOAD="net.onnx"))


class Recipes(unittest.TestCase):
    def test_an_unknown_recipe_is_told_the_known_ones(self):
        with self.assertRaisesRegex(LoadError, "python-class, sklearn"):
            loader_for("os")


if __name__ == "__main__":
    unittest.main()
