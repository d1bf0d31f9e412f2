# Runs what onnx_models wrote through onnx.checker and ONNX Runtime: every prediction within 1e-5 of ours (relative
# where a value is above 1), row by row as well as together, and NaN for what no hospital's reader takes.
#
#   compare.py FOLDER
import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime

LIMIT = 1e-5
TYPES = {"tensor(double)": np.float64, "tensor(float)": np.float32, "tensor(string)": object}


def arrays(session, inputs):
    def filled(value):
        if isinstance(value, list):
            return [filled(one) for one in value]
        return np.nan if value is None else value

    return {i.name: np.array(filled(inputs[i.name]), dtype=TYPES[i.type]) for i in session.get_inputs()}


def spoilt(feed, columns):
    """Row 0 once for each way in which a column's value can be wrong."""
    for column in columns:
        if column["type"] == "category":
            wrong = ["nowhere"]
        else:
            wrong = [column["minimum"] - 1, column["maximum"] + 1, np.inf]
        if column["type"] == "tensor":
            wrong.append(np.nan)
        for value in wrong:
            row = {name: (array if "/" in name else array[:1].copy()) for name, array in feed.items()}
            row[column["name"]].flat[-1] = value
            yield f"{column['name']} = {value}", row


def difference(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    opsets = {o.domain: o.version for o in model.opset_import}
    assert model.ir_version == 8 and opsets[""] == 17, (model.ir_version, opsets)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["plan"] and metadata["rounds"] == "1", metadata
    case = json.loads(path.with_suffix(".json").read_text())
    feed, ours = arrays(session, case["inputs"]), np.array(case["predicted"])
    (theirs,) = session.run(None, feed)
    assert theirs.shape == ours.shape, (theirs.shape, ours.shape)
    for i in (0, len(ours) - 1):
        row = {name: (array if "/" in name else array[i : i + 1]) for name, array in feed.items()}
        np.testing.assert_allclose(session.run(None, row)[0][0], theirs[i], rtol=1e-6, atol=1e-6)
    for what, row in spoilt(feed, json.loads(metadata["columns"])):
        assert np.isnan(session.run(None, row)[0]).all(), what
    most = np.max(np.abs(theirs - ours) / np.maximum(1, np.abs(ours)))
    return session.get_outputs()[0], most, np.min(ours), np.max(ours)


def main(folder):
    print(f"ONNX Runtime {onnxruntime.__version__}, onnx {onnx.__version__}; the limit is {LIMIT:g}")
    print(f"{'model':<26}{'output':<24}{'ours from':>12}{'to':>12}{'difference':>12}")
    paths, failed = sorted(pathlib.Path(folder).glob("*.onnx")), 0
    for path in paths:
        try:
            output, most, low, high = difference(path)
            right = most <= LIMIT  # False of a NaN.
            print(f"{path.stem:<26}{output.name:<24}{low:>12.5g}{high:>12.5g}{most:>12.2g}{'' if right else '  ABOVE'}")
        except Exception as error:
            right = False
            print(f"{path.stem:<26}FAILED: {type(error).__name__}: {error}")
        failed += not right
    print(f"{len(paths)} models, {failed} beyond the limit or wrong")
    return 1 if failed or not paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
