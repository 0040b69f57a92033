"""Writes optimisers_plain.json: rules for which no PyTorch of this file's cases was at hand, in plain Python
(f64, no library), by the equations of the papers and the order of PyTorch's and Muon's own code.

AMSGrad: torch.optim.AdamW(amsgrad=True). Muon: github.com/KellerJordan/Muon, `muon_update`, in f64 instead of
bf16 and with the scale 0.2 sqrt(max(rows, columns)) (Liu et al. 2025, arXiv 2502.16982, eq. 4); what is no
matrix follows AdamW.

    python3 make_plain.py
"""

import json
import math
import pathlib
import random

HERE = pathlib.Path(__file__).parent
LR = 0.1
STEPS = 6
random.seed(7)


def draw(shape, scale=1.0):
    return [round(scale * random.gauss(0, 1), 3) for _ in range(shape[0] * shape[1])]


def adamw(p, g, s, t, o):
    b1, b2 = o.get("betas", [0.9, 0.999])
    m, v, w = (s.setdefault(k, [0.0] * len(p)) for k in "mvw")
    for i in range(len(p)):
        m[i] = b1 * m[i] + (1 - b1) * g[i]
        v[i] = b2 * v[i] + (1 - b2) * g[i] ** 2
        w[i] = max(w[i], v[i]) if o.get("amsgrad") else v[i]
        denominator = math.sqrt(w[i]) / math.sqrt(1 - b2**t) + o.get("eps", 1e-8)
        p[i] = p[i] * (1 - LR * o.get("decay", 0.0)) - LR * (m[i] / (1 - b1**t)) / denominator


def matmul(a, b):
    return [[sum(x * y for x, y in zip(row, col)) for col in zip(*b)] for row in a]


def newton_schulz(x, iterations):
    a, b, c = 3.4445, -4.7750, 2.0315
    flat = math.sqrt(sum(v * v for row in x for v in row)) + 1e-7
    x = [[v / flat for v in row] for row in x]
    turned = len(x) > len(x[0])
    x = [list(col) for col in zip(*x)] if turned else x
    for _ in range(iterations):
        gram = matmul(x, [list(col) for col in zip(*x)])
        square = matmul(gram, gram)
        poly = [[b * p + c * q for p, q in zip(*rows)] for rows in zip(gram, square)]
        x = [[a * p + q for p, q in zip(*rows)] for rows in zip(x, matmul(poly, x))]
    return [list(col) for col in zip(*x)] if turned else x


def muon(p, g, s, t, o, shape):
    rows, cols = shape
    if rows == 1:
        return adamw(p, g, s, t, o)
    beta = o.get("momentum", 0.95)
    m = s.setdefault("m", [0.0] * len(p))
    for i in range(len(p)):
        m[i] += (1 - beta) * (g[i] - m[i])
    update = [g[i] + beta * (m[i] - g[i]) for i in range(len(p))] if o.get("nesterov", True) else m
    x = newton_schulz([update[r * cols : (r + 1) * cols] for r in range(rows)], o.get("iterations", 5))
    scale = 0.2 * math.sqrt(max(rows, cols))
    for i, u in enumerate(v for row in x for v in row):
        p[i] = p[i] * (1 - LR * o.get("decay", 0.0)) - LR * scale * u


def case(name, kind, settings, shapes):
    start = [draw(s) for s in shapes]
    gradients = [[draw(s) for s in shapes] for _ in range(STEPS)]
    # A large step, so that a maximum has something to keep, and a small one that clipping leaves alone.
    gradients[2] = [[round(4 * g, 3) for g in t] for t in gradients[2]]
    gradients[3] = [[0.01 for _ in t] for t in gradients[3]]
    params, states, path, norms = [list(s) for s in start], [{} for _ in shapes], [], []
    for t, step in enumerate(gradients, 1):
        norm = math.sqrt(sum(g * g for tensor in step for g in tensor))
        clip = settings.get("clip")
        shrink = clip / norm if clip and norm > clip else 1.0
        for p, g, s, shape in zip(params, step, states, shapes):
            g = [shrink * x for x in g]
            muon(p, g, s, t, settings, shape) if kind == "muon" else adamw(p, g, s, t, settings)
        path.append([[float(f"{x:.8g}") for x in p] for p in params])
        norms += [float(f"{norm:.8g}")] if clip else []
    return {"name": name, "kind": kind, "settings": settings, "shapes": shapes, "start": start,
            "gradients": gradients, "path": path, "norms": norms}


CASES = [
    case("amsgrad", "adamw", {"amsgrad": True}, [[3, 4], [1, 5]]),
    case("amsgrad decay clipped", "adamw",
         {"amsgrad": True, "betas": [0.8, 0.95], "eps": 1e-6, "decay": 0.2, "clip": 0.7}, [[3, 4], [1, 5]]),
    case("muon", "muon", {}, [[3, 4], [1, 5]]),
    case("muon tall", "muon", {"decay": 0.2, "clip": 0.7}, [[7, 3], [1, 5], [4, 4]]),
    case("muon plain momentum", "muon",
         {"nesterov": False, "momentum": 0.8, "iterations": 3, "betas": [0.8, 0.95], "decay": 0.05},
         [[2, 6], [1, 3]]),
]
BODY = ",\n".join(json.dumps(c, separators=(",", ":")) for c in CASES)
(HERE / "optimisers_plain.json").write_text(f'{{"cases": [\n{BODY}\n]}}\n')
