#!/usr/bin/env python3
"""Prints the reference numbers of loss_test.cc and optimizer_test.cc from PyTorch itself, in double.

    python3 -m venv torch && torch/bin/pip install torch==2.13.0 numpy && torch/bin/python tests/model/torch_reference.py
"""
import torch

torch.set_default_dtype(torch.float64)
torch.set_printoptions(precision=17)


def losses():
    z = torch.tensor([[0.3, -1.2, 2.0], [0.0, 0.5, -0.5], [1.5, 1.0, -2.0], [-0.7, 0.2, 0.9]])
    y = torch.tensor([2, 0, 1, 1])
    f = torch.nn.functional
    w = torch.tensor([0.5, 3.0, 1.0])
    print("cross_entropy", f.cross_entropy(z, y).item())
    print("weighted", f.cross_entropy(z, y, weight=w).item())
    print("smoothed", f.cross_entropy(z, y, label_smoothing=0.1).item())
    print("both", f.cross_entropy(z, y, weight=w, label_smoothing=0.1).item())
    s = torch.tensor([0.3, -1.2, 2.0, 0.25])
    t = torch.tensor([1.0, 0.0, 0.0, 1.0])
    print("bce", f.binary_cross_entropy_with_logits(s, t).item())
    print("pos_weight", f.binary_cross_entropy_with_logits(s, t, pos_weight=torch.tensor([3.0])).item())
    r = torch.tensor([0.1, -3.0, 2.5, 1.0])
    print("mse", f.mse_loss(s, r).item())
    print("huber", f.huber_loss(s, r, delta=0.6).item())
    print("poisson", f.poisson_nll_loss(s, torch.tensor([0.0, 2.0, 7.0, 1.0]), log_input=True).item())


def optimizers():
    """Ten steps on sum_i (i + 1) / 2 (p_i - 1)^2 + sin(p_i), a gradient that anyone can write down."""
    o = torch.optim
    cases = {
        "sgd": lambda p: o.SGD(p, lr=0.1, weight_decay=0.05),
        "momentum": lambda p: o.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.05),
        "nesterov": lambda p: o.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05),
        "adam": lambda p: o.Adam(p, lr=0.1, weight_decay=0.05),
        "adamw": lambda p: o.AdamW(p, lr=0.1, weight_decay=0.05),
        "rmsprop": lambda p: o.RMSprop(p, lr=0.1, weight_decay=0.05),
        "adagrad": lambda p: o.Adagrad(p, lr=0.1, weight_decay=0.05),
        "clipped": lambda p: o.Adam(p, lr=0.1),
    }
    for name, make in cases.items():
        p = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
        step = make([p])
        for _ in range(10):
            step.zero_grad()
            scale = torch.arange(1.0, 4.0)
            (scale / 2 * (p - 1) ** 2 + torch.sin(p)).sum().backward()
            if name == "clipped":
                torch.nn.utils.clip_grad_norm_([p], 0.5)
            step.step()
        print(name, p.detach().tolist())


losses()
optimizers()
