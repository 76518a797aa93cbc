"""Predictions of every common type become JSON."""

import json
import unittest
from datetime import date

from slipway_runtime.jsonable import dumps

try:
    import numpy
except ModuleNotFoundError:
    numpy = None


class Jsonable(unittest.TestCase):
    def check(self, value, expected):
        self.assertEqual(json.loads(dumps(value)), expected)

    def test_plain_values(self):
        self.check({"a": (1, 2.5, None, True, "x"), 3: {4}}, {"a": [1, 2.5, None, True, "x"], "3": [4]})
        self.check(float("nan"), None)
        self.check([float("-inf")], [None])
        self.check(date(2026, 1, 31), "2026-01-31")

    def test_what_json_cannot_carry_is_named(self):
        with self.assertRaisesRegex(TypeError, "bytes"):
            dumps({"a": b"raw"})

    @unittest.skipIf(numpy is None, "numpy is not installed")
    def test_numpy_values(self):
        self.check(numpy.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]])
        self.check(numpy.array([1.5, numpy.nan], dtype=numpy.float32), [1.5, None])
        self.check([numpy.int64(3), numpy.float32(0.5), numpy.bool_(True)], [3, 0.5, True])
        self.check(numpy.array("scalar"), "scalar")
        self.check(numpy.array(["a", "b"], dtype=object), ["a", "b"])
        self.check({numpy.int64(1): numpy.longdouble(2.5)}, {"1": 2.5})
        self.check(numpy.float64("nan"), None)


if __name__ == "__main__":
    unittest.main()
