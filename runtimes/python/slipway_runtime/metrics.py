"""What /metrics tells, in Prometheus' text format."""

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, REGISTRY, generate_latest

requests = Counter("slipway_requests_total", "Requests answered.", ["path", "status"])
predictions = Counter("slipway_predictions_total", "Predictions asked for.", ["outcome"])
prediction_seconds = Histogram(
    "slipway_prediction_seconds",
    "Time the model took, waiting for its turn included.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
in_flight = Gauge("slipway_predictions_in_flight", "Predictions under way or waiting.")
loaded = Gauge("slipway_model_loaded", "1 while the model is loaded.")
load_seconds = Gauge("slipway_model_load_seconds", "Time the last load took.")


def exposition():
    """Content type and text."""
    return CONTENT_TYPE_LATEST, generate_latest(REGISTRY)
