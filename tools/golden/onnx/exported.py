"""Runs ONNX's checker and ONNX Runtime on what graph/onnx has exported: exported.py DIR.

DIR has models and cases.json, a list of {"name", "file", "inputs", "outputs", "tolerance"}: inputs and outputs are lists of {"name", "shape",
"values"}. A model may stand for several cases. Each output must have its name and shape, and its largest error, through the largest
magnitude that it should have, must be within the tolerance. Prints what is wrong and the largest error; the exit status is 1 when something is.

TestONNXRuntimeComputesExports (graph/onnx) writes the folder and runs this. Made with Python 3.11.7, onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6.
"""
import json
import os
import sys

import numpy as np
import onnx
import onnxruntime


def array(x):
    return np.array(x["values"], np.float64).reshape(x["shape"])


def problems(case, session):
    feed = {x["name"]: array(x).astype(np.float32) for x in case["inputs"]}
    names = [x.name for x in session.get_outputs()]
    if len(names) != len(case["outputs"]):
        return [f"has {len(names)} outputs, want {len(case['outputs'])}"], 0
    found, worst = [], 0
    for name, got, want in zip(names, session.run(None, feed), case["outputs"]):
        wanted = array(want)
        if name != want["name"] or got.shape != wanted.shape:
            found.append(f"output {name} {got.shape}: want {want['name']} {wanted.shape}")
            continue
        size = np.abs(wanted).max(initial=0)
        error = np.abs(got - wanted).max(initial=0) / (size or 1)
        worst = max(worst, error)
        if not error <= case["tolerance"]:  # NaN fails
            found.append(f"output {name}: relative error {error:.3g}, want at most {case['tolerance']}")
    return found, worst


def main(folder):
    with open(os.path.join(folder, "cases.json")) as f:
        cases = json.load(f)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # no warnings of initializers that are for nothing
    sessions, failed, worst = {}, 0, 0
    for case in cases:
        path = os.path.join(folder, case["file"])
        try:
            if path not in sessions:
                onnx.checker.check_model(path, full_check=True)
                sessions = {path: onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])}
            found, error = problems(case, sessions[path])
        except Exception as err:  # both libraries have many kinds
            found, error = [str(err)], 0
        worst = max(worst, error)
        failed += bool(found)
        for problem in found:
            print(f"{case['name']}: {problem}")
    print(f"{len(cases)} cases, {failed} failed, largest error {worst:.3g}; onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
