import { greeterSource, greeterWeights } from './models.js';

/** What only shows under traffic: inputs that a model answers with an error, or late. */
export type Poison = { diesOf?: string; dawdlesAt?: string };

/** The greeter, with weights that may poison it. */
export const poisonableSource = (): Promise<Buffer> => greeterSource({ 'k8s_api_model.py': code });

export const poisonedWeights = (greeting: string, poison: Poison = {}): Promise<Buffer> =>
  greeterWeights({ greeting }, { 'poison.json': JSON.stringify(poison) });

const code = `import json
import time
from pathlib import Path


class k8s_api_model:
    def load(self, model_path):
        folder = Path(model_path)
        read = lambda name: json.loads((folder / name).read_text(encoding="utf-8"))
        return {**read("greeting.json"), **read("poison.json")}

    def predict(self, session, input):
        if input == session.get("diesOf"):
            raise RuntimeError("poisoned")
        if input == session.get("dawdlesAt"):
            time.sleep(0.3)
        return f"{session['greeting']}, {input}!"
`;
