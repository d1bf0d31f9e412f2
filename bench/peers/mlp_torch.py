#!/usr/bin/env python3
"""The MLP of bench/mlp.cc in PyTorch, on one thread: samples a second, as installed and tuned (fused Adam).

    ./run bench mlp --peers          makes build/peers (a venv), installs PyTorch there and runs this

The same work as ours: an order drawn for each epoch, bytes gathered into floats, loss, backward, Adam. Time is the
thread's processor time. Lines are those of ./run bench --json; a peer has no limit.
"""
import argparse
import json
import statistics
import time

import torch

ROWS, IMAGES, INPUTS, CLASSES = 8192, 60_000, 784, 10


def epoch(model, optimizer, pixels, labels, batch):
    order = torch.randperm(ROWS)
    for first in range(0, ROWS, batch):
        rows = order[first : first + batch]
        x = pixels[rows * (IMAGES // ROWS)].float().mul_(1 / 255)
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(x), labels[rows]).backward()
        optimizer.step()


def measure(batch, fused, seconds, pixels, labels):
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        torch.nn.Linear(INPUTS, 256), torch.nn.ReLU(), torch.nn.Linear(256, 128), torch.nn.ReLU(), torch.nn.Linear(128, CLASSES)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused or None)
    times = []
    epoch(model, optimizer, pixels, labels, batch)
    while len(times) < 5 or sum(times) < seconds:
        before = time.thread_time()
        epoch(model, optimizer, pixels, labels, batch)
        times.append(time.thread_time() - before)
    rates = sorted(ROWS / t for t in times)
    middle = statistics.median(rates)
    spread = (rates[3 * len(rates) // 4] - rates[len(rates) // 4]) / 2 / middle
    return middle, spread, len(times)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=3)
    options, _ = parser.parse_known_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (IMAGES, INPUTS), dtype=torch.uint8, generator=generator)
    pixels[torch.rand(IMAGES, INPUTS, generator=generator) < 0.75] = 0
    labels = torch.arange(ROWS) % CLASSES
    for name, fused in (("mlp_torch", False), ("mlp_torch_tuned", True)):
        for batch in (32, 64, 128, 256):
            value, spread, repeats = measure(batch, fused, options.seconds, pixels, labels)
            if options.json:
                line = {"name": f"{name}/{batch}", "value": round(value), "unit": "samples/s", "limit": None}
                line |= {"limit_name": f"PyTorch {torch.__version__}", "ratio": None}
                print(json.dumps(line | {"repeats": repeats, "spread": round(spread, 3)}), flush=True)
            else:
                print(f"{name + '/' + str(batch):<22} {value:9.0f} samples/s ({repeats} turns, +-{100 * spread:.1f} %)", flush=True)


main()
