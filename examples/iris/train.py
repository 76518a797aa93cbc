"""Trains the iris classifier again, bit for bit, and writes weights/model.joblib.

    python3 -m venv venv && venv/bin/pip install -r source/requirements.txt
    venv/bin/python train.py [FILE]
"""

import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "weights" / "model.joblib"

features, species = load_iris(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(
    features, species, test_size=0.3, random_state=7, stratify=species
)
model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=200))
model.fit(train_x, train_y)

target.parent.mkdir(parents=True, exist_ok=True)
joblib.dump(model, target, compress=("zlib", 9))
print(f"accuracy on {len(test_y)} flowers held back: {model.score(test_x, test_y):.3f}")
print(f"wrote {target} ({target.stat().st_size} bytes)")
