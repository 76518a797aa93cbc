"""A model without requirements: greets whoever it is given, as its weights say."""

import json
import time
from pathlib import Path


class k8s_api_model:
    def load(self, model_path):
        weights = json.loads((Path(model_path) / "greeting.json").read_text(encoding="utf-8"))
        time.sleep(weights.get("delayMs", 0) / 1000)
        if weights.get("crash"):
            raise RuntimeError("these weights crash on load")
        return weights

    def predict(self, session, input):
        """Greets a name; an object may bring its own greeting: {"name": "Ada", "greeting": "Hi"}."""
        time.sleep(session.get("hangPredictMs", 0) / 1000)
        asked = input if isinstance(input, dict) else {"name": input}
        if session.get("wrong"):
            return f"who is {asked['name']}?"
        return f"{asked.get('greeting', session['greeting'])}, {asked['name']}!"
