#!/ usr / bin / env python3
"""Writes a trace of FLamby's six strategies for Fed-TCGA-BRCA in float32, by PyTorch and its autograd.

    python3 -m venv torch && torch/bin/pip install torch==2.13.0 numpy
    torch/bin/python tests/golden/cox_trace.py FOLDER > cox.json      # FOLDER: brca.csv, train_test_split.csv
    CONSILIUM_GOLDEN=cox.json CONSILIUM_GOLDEN_DATA=FOLDER ctest --test-dir build -R golden_replay

Rates are those of FLamby's benchmark for that data set: batches of 8, 5 rounds of 100 steps.
"""
import csv
import json
import pathlib
import sys

import torch

ROUNDS, STEPS, BATCH, CENTRES = 5, 100, 8, 6
SGD = "torch.optim.SGD"
HYPER = {
    "FedAvg": {"learning_rate": 0.1},
    "FedProx": {"learning_rate": 0.1, "mu": 0.1},
    "Scaffold": {"learning_rate": 0.01, "server_learning_rate": 1.0},
    "FedAdam": {"learning_rate": 0.01, "server_learning_rate": 0.1, "beta1": 0.9, "beta2": 0.999, "tau": 1e-8},
    "FedYogi": {"learning_rate": 0.01, "server_learning_rate": 0.1, "beta1": 0.9, "beta2": 0.999, "tau": 1e-8},
    "FedAdagrad": {"learning_rate": 0.01, "server_learning_rate": 1.0, "beta1": 0.9, "beta2": 0.999, "tau": 1e-8},
}


def read(folder):
    with open(folder / "train_test_split.csv", newline="") as f:
        fold = {row["pid"]: row["fold2"] for row in csv.DictReader(f)}
    with open(folder / "brca.csv", newline="") as f:
        rows = list(csv.reader(f))[1:]
    centres = []
    for centre in range(CENTRES):
        mine = [[float(v) for v in row[1:]] for row in rows if fold.get(row[0]) == f"train_{centre}"]
        table = torch.tensor(mine, dtype=torch.float32)
        centres.append((table[:, :39], table[:, 39:]))
    return centres


def cox(scores, truth):
    """The mean over the batch; sorted by falling time (stable), each event's risk set is itself and those before."""
    order = torch.sort(truth[:, 1], descending=True, stable=True).indices
    s, events = scores[order, 0], truth[order, 0]
    parts = [0 * s[0]] + [torch.logsumexp(s[: i + 1] - s[i], 0) for i in range(1, len(s))]
    return (torch.stack(parts) * events).mean()


def local(weights, centre, batches, rate, mu, correction):
    model = torch.nn.Linear(39, 1)
    start = [w.clone() for w in weights]
    with torch.no_grad():
        for p, w in zip(model.parameters(), weights):
            p.copy_(w)
    optimizer = torch.optim.SGD(model.parameters(), rate)
    x, y = centre
    for batch in batches:
        loss = cox(model(x[batch]), y[batch])
        if mu > 0:
            loss = loss + mu / 2 * sum(((p - s) ** 2).sum() for p, s in zip(model.parameters(), start))
        if correction is not None:
            loss = loss + sum((p * c).sum() for p, c in zip(model.parameters(), correction))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


def run(name, centres, start, batches):
    h = HYPER[name]
    rate, server, tau = h["learning_rate"], h.get("server_learning_rate", 1.0), 1e-8
    w = [p.clone() for p in start]
    m = [torch.zeros_like(p) for p in w]
    v = [torch.zeros_like(p) for p in w]
    mean = [torch.zeros_like(p) for p in w]
    control = [[torch.zeros_like(p) for p in w] for _ in centres]
    total = sum(len(x) for x, _ in centres)
    after = []
    for r in range(ROUNDS):
        change = [torch.zeros_like(p) for p in w]
        following = [torch.zeros_like(p) for p in w]
        for i, centre in enumerate(centres):
            correction = [c - own for c, own in zip(mean, control[i])] if name == "Scaffold" else None
            mine = batches[i][r * STEPS : (r + 1) * STEPS]
            y = local(w, centre, mine, rate, h.get("mu", 0), correction)
            share = len(centre[0]) / total
            for k in range(2):
                change[k] += share * (y[k] - w[k])
                if name == "Scaffold":
                    control[i][k] += (w[k] - y[k]) / (STEPS * rate) - mean[k]
                following[k] += share * control[i][k]
        mean = following
        for k in range(2):
            a = change[k]
            if name in ("FedAvg", "FedProx", "Scaffold"):
                w[k] = w[k] + server * a
                continue
            m[k] = 0.9 * m[k] + 0.1 * a
            if name == "FedAdam":
                v[k] = 0.999 * v[k] + 0.001 * a**2
            elif name == "FedYogi":
                v[k] = v[k] - 0.001 * a**2 * torch.sign(v[k] - a**2)
            else:
                v[k] = v[k] + a**2
            w[k] = w[k] + server * m[k] / (v[k].sqrt() + tau)
        after.append([float(p) for k in range(2) for p in w[k].flatten()])
    return {
        "hyper": h | {"optimizer_class": SGD},
        "rounds": ROUNDS,
        "num_updates": STEPS,
        "batch_size": BATCH,
        "init": {"fc.weight": start[0].tolist(), "fc.bias": start[1].tolist()},
        "batches": batches,
        "weights_after_round": after,
    }


def main():
    torch.manual_seed(42)
    centres = read(pathlib.Path(sys.argv[1]))
    start = [p.detach().clone() for p in torch.nn.Linear(39, 1).parameters()]
    batches = []
    for x, _ in centres:
        mine = []
        while len(mine) < ROUNDS * STEPS:
            order = torch.randperm(len(x)).tolist()
            mine += [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
        batches.append(mine[: ROUNDS * STEPS])
    trace = {"dataset": "fed_tcga_brca", "seed": 42, "n_train": [len(x) for x, _ in centres]}
    trace["strategies"] = {name: run(name, centres, start, batches) for name in HYPER}
    json.dump(trace, sys.stdout)


main()
