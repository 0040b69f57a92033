"""Reference values for every operation of the engine, from PyTorch in double precision.

    python make.py            writes ops.json, optimisers.json and network.json beside itself

Inputs are rounded to three decimals and then to f32, so the engine and PyTorch start from the
same numbers; PyTorch computes in f64. Seeds are fixed: the files only change with this script.
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
IGNORE = -1
generator = torch.Generator().manual_seed(20240601)


def draw(*shape, scale=1.0, low=None):
    """Random f64 numbers that f32 holds exactly; uniform in low..low+1 if `low` is given."""
    if low is None:
        x = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
    else:
        x = low + torch.rand(shape, generator=generator, dtype=torch.float64)
    return (x * 1000).round().div(1000).float().double()


def integers(n, bound):
    return torch.randint(0, bound, (n,), generator=generator)


def numbers(t):
    return [float(f"{v:.7g}") for v in t.detach().reshape(-1).tolist()]


def short(t):
    """Inputs, written with three decimals (reading them as f32 gives the very same numbers)."""
    return [round(v, 3) for v in t.detach().reshape(-1).tolist()]


CASES = []


def case(name, op, tensors, run, integers=None, floats=None, **spec):
    """`run(**tensors)` returns (outputs, objective or None). Without an objective the outputs are
    contracted with a random functional of their shape."""
    leaves = {k: v.clone().requires_grad_() for k, v in tensors.items()}
    out, objective = run(**leaves)
    functional = None
    if objective is None:
        functional = draw(*out.shape)
        objective = (out * functional).sum()
    grads = torch.autograd.grad(objective, list(leaves.values()), allow_unused=True)
    CASES.append({
        "name": name,
        "op": op,
        "spec": spec,
        "integers": {k: v.tolist() for k, v in (integers or {}).items()},
        "floats": {k: short(v) for k, v in (floats or {}).items()},
        "tensors": {k: [list(v.shape), short(v)] for k, v in tensors.items()},
        "functional": None if functional is None else short(functional),
        "out": [list(out.shape), numbers(out)],
        "objective": float(f"{objective.item():.9g}"),
        "grads": {k: None if g is None else numbers(g) for k, g in zip(leaves, grads)},
    })


# ---------------------------------------------------------------- embedding
ids = integers(6, 7)
case("embedding", "embedding", {"table": draw(7, 5)}, lambda table: (table[ids], None), {"ids": ids}, seq=3)
case("embedding with positions", "embedding", {"table": draw(7, 5), "positions": draw(4, 5)},
     lambda table, positions: (table[ids] + positions[torch.arange(6) % 3], None), {"ids": ids}, seq=3)

# ---------------------------------------------------------------- norms
for d in (5, 19):
    case(f"layer norm {d}", "norm", {"x": draw(3, d), "gain": draw(1, d), "shift": draw(1, d)},
         lambda x, gain, shift: (F.layer_norm(x, (x.shape[1],), gain[0], shift[0], 1e-5), None), rms=False, eps=1e-5)
    case(f"rms norm {d}", "norm", {"x": draw(3, d), "gain": draw(1, d)},
         lambda x, gain: (F.rms_norm(x, (x.shape[1],), gain[0], 1e-6), None), rms=True, eps=1e-6)
case("layer norm without shift", "norm", {"x": draw(2, 6), "gain": draw(1, 6)},
     lambda x, gain: (F.layer_norm(x, (6,), gain[0], None, 1e-5), None), rms=False, eps=1e-5)

# ---------------------------------------------------------------- linear
ACTS = {
    "identity": lambda u: u,
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda u: F.gelu(u, approximate="tanh"),
    "silu": F.silu,
}
for act, f in ACTS.items():
    for bias in (False, True):
        tensors = {"x": draw(4, 5), "weight": draw(5, 6)} | ({"bias": draw(1, 6)} if bias else {})

        def linear(x, weight, bias=None, f=f):
            return f(x @ weight + (0 if bias is None else bias)), None

        case(f"linear {act}{' bias' if bias else ''}", "linear", tensors, linear, act=act)
for bias in (False, True):
    tensors = {"x": draw(4, 5), "weight": draw(5, 6), "residual": draw(4, 6)}
    tensors |= {"bias": draw(1, 6)} if bias else {}
    case(f"linear residual{' bias' if bias else ''}", "linear", tensors,
         lambda x, weight, residual, bias=None: (x @ weight + residual + (0 if bias is None else bias), None),
         act="identity")


# ---------------------------------------------------------------- attention
def rotate(x, base):
    """x [sequences, heads, seq, head_dim]; pairs (i, i + half), as in Llama."""
    seq, hd = x.shape[-2:]
    angle = torch.arange(seq, dtype=torch.float64)[:, None] * base ** (-2.0 * torch.arange(hd // 2) / hd)
    cos, sin = angle.cos(), angle.sin()
    a, b = x[..., : hd // 2], x[..., hd // 2 :]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def attention(qkv, seq, heads, kv_heads, head_dim, scale, window=None, rotary=None):
    n = qkv.shape[0] // seq
    parts = qkv.reshape(n, seq, heads + 2 * kv_heads, head_dim).transpose(1, 2)
    q, k, v = parts[:, :heads], parts[:, heads : heads + kv_heads], parts[:, heads + kv_heads :]
    if rotary:
        q, k = rotate(q, rotary), rotate(k, rotary)
    k, v = (t.repeat_interleave(heads // kv_heads, dim=1) for t in (k, v))
    i = torch.arange(seq)
    seen = i[:, None] >= i[None, :]
    if window:
        seen &= i[:, None] - i[None, :] < window
    z = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale)
    return z.transpose(1, 2).reshape(n * seq, heads * head_dim)


for name, sequences, s in [
    ("multi-head", 2, dict(seq=7, heads=3, kv_heads=3, head_dim=4, scale=0.5)),
    ("unscaled", 1, dict(seq=5, heads=2, kv_heads=2, head_dim=3, scale=1.0)),
    ("grouped", 2, dict(seq=6, heads=4, kv_heads=2, head_dim=2, scale=0.7)),
    ("window", 2, dict(seq=9, heads=2, kv_heads=1, head_dim=2, scale=0.7, window=3)),
    ("window of one", 1, dict(seq=4, heads=2, kv_heads=2, head_dim=2, scale=0.7, window=1)),
    ("rotary", 2, dict(seq=5, heads=2, kv_heads=1, head_dim=6, scale=0.4, rotary=10000.0)),
    ("long", 2, dict(seq=70, heads=2, kv_heads=1, head_dim=2, scale=0.7, rotary=100.0)),
    ("long window", 1, dict(seq=131, heads=1, kv_heads=1, head_dim=2, scale=0.7, window=40)),
    ("one position", 3, dict(seq=1, heads=2, kv_heads=1, head_dim=2, scale=0.7)),
]:
    width = (s["heads"] + 2 * s["kv_heads"]) * s["head_dim"]
    case(f"attention {name}", "attention", {"x": draw(sequences * s["seq"], width)},
         lambda x, s=s: (attention(x, **s), None), **s)

# ---------------------------------------------------------------- gated
case("gated", "gated", {"x": draw(3, 10)}, lambda x: (F.silu(x[:, :5]) * x[:, 5:], None))
tensors = {"x": draw(3, 4), "up": draw(4, 12, scale=0.5), "down": draw(6, 4, scale=0.5)}
case("swiglu block", "swiglu", tensors,
     lambda x, up, down: ((F.silu((x @ up)[:, :6]) * (x @ up)[:, 6:]) @ down + x, None))


# ---------------------------------------------------------------- read-out
def logits(h, weight, bias, tied, scale):
    z = scale * (h @ (weight.T if tied else weight))
    return z if bias is None else z + bias


def nll(z, targets):
    return F.cross_entropy(z, targets, ignore_index=IGNORE, reduction="none")


for rows, tied, bias, scale, ignore, weighted in [
    (5, False, False, 1.0, False, False),
    (5, True, False, 1.0, False, False),
    (5, True, True, 0.4, True, True),
    (5, False, True, 2.5, True, False),
    (300, False, False, 1.0, False, True),
]:
    d, vocab = (2, 5) if rows > 100 else (4, 9)
    targets = integers(rows, vocab)
    if ignore:
        targets[1] = targets[4] = IGNORE
    weights = draw(rows) if weighted else None
    tensors = {"h": draw(rows, d), "weight": draw(vocab, d) if tied else draw(d, vocab)}
    tensors |= {"bias": draw(1, vocab)} if bias else {}

    def xent(h, weight, bias=None, targets=targets, weights=weights, tied=tied, scale=scale):
        loss = nll(logits(h, weight, bias, tied, scale), targets)
        return loss[:, None], (loss * (0.3 if weights is None else weights)).sum()

    case(f"cross entropy rows {rows} tied {tied} bias {bias} scale {scale} weighted {weighted}", "cross_entropy",
         tensors, xent, {"targets": targets}, {} if weights is None else {"weights": weights},
         tied=tied, scale=scale, weight=0.3)

for tied, bias in [(False, True), (True, False)]:
    targets = integers(6, 9)
    targets[2] = IGNORE
    tensors = {"h": draw(6, 4), "weight": draw(9, 4) if tied else draw(4, 9)} | ({"bias": draw(1, 9)} if bias else {})

    def further(h, weight, bias=None, targets=targets, tied=tied):
        return F.softplus(-0.5 * nll(logits(h, weight, bias, tied, 0.8), targets))[:, None] ** 2, None

    case(f"token nll tied {tied} bias {bias}, then softplus and square", "token_nll", tensors, further,
         {"targets": targets}, tied=tied, scale=0.8)

for tied, bias, weighted in [(False, True, True), (True, False, False)]:
    teacher = draw(4, 9, scale=2.0)
    weights = draw(4) if weighted else None
    if weighted:
        weights[2] = 0
    tensors = {"h": draw(4, 3), "weight": draw(9, 3) if tied else draw(3, 9)} | ({"bias": draw(1, 9)} if bias else {})

    def divergence(h, weight, bias=None, tied=tied, teacher=teacher, weights=weights):
        z = F.log_softmax(logits(h, weight, bias, tied, 1.3), dim=-1)
        rows = F.kl_div(z, F.log_softmax(teacher, dim=-1), log_target=True, reduction="none").sum(1)
        w = torch.full((4,), 0.3, dtype=torch.float64) if weights is None else weights
        return (rows * (w != 0))[:, None], (rows * w).sum()

    case(f"kl tied {tied} bias {bias}", "kl", tensors, divergence, {},
         {"teacher": teacher} | ({"weights": weights} if weighted else {}), tied=tied, scale=1.3, weight=0.3)

# ---------------------------------------------------------------- distances and penalties
target, weights = draw(3, 18), draw(3)
for kind in ("squared", "absolute"):
    def distance(x, kind=kind):
        e = x - target
        both = torch.stack([(e * e).sum(1), e.abs().sum(1)], dim=1)
        return both, (weights * both[:, 0 if kind == "squared" else 1]).sum()

    case(f"distance {kind}", "distance", {"x": draw(3, 18)}, distance, {}, {"target": target, "weights": weights},
         kind=kind)
x = draw(3, 4)
x[1, 2] = 0
case("l1", "l1", {"x": x}, lambda x: (x.abs().sum().reshape(1, 1), 0.7 * x.abs().sum()), weight=0.7)


def correlation(x, a, b):
    """Mean absolute value of each correlation; deviations with n - 1, the product with n."""
    n = x.shape[0]
    s = (x - x.mean(0)) / x.std(0)
    return (s[:, a].T @ s[:, b] / n).abs().mean()


case("correlation", "correlation", {"x": draw(8, 6)},
     lambda x: ((c := correlation(x, slice(0, 2), slice(3, 6))).reshape(1, 1), 1.7 * c), a=[0, 2], b=[3, 6], weight=1.7)

# ---------------------------------------------------------------- small operations
for name, f, low in [
    ("scale", lambda x: -1.5 * x, None),
    ("shift", lambda x: x - 1.5, None),
    ("abs", torch.abs, None),
    ("square", lambda x: x * x, None),
    ("sqrt", torch.sqrt, 0.2),
    ("exp", torch.exp, None),
    ("log", torch.log, 0.2),
    ("softplus", F.softplus, None),
    ("relu", F.relu, None),
    ("sigmoid", torch.sigmoid, None),
    ("tanh", torch.tanh, None),
    ("gelu", F.gelu, None),
    ("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), None),
    ("silu", F.silu, None),
]:
    case(f"map {name}", "map", {"x": draw(4, 5, scale=3.0, low=low)}, lambda x, f=f: (f(x), None), function=name)

for name, f in [("add", torch.add), ("sub", torch.sub), ("mul", torch.mul), ("div", torch.div)]:
    for shape in [(3, 4), (1, 4), (3, 1), (1, 1)]:
        case(f"pair {name} {shape}", "pair", {"a": draw(3, 4), "b": draw(*shape, low=0.5)},
             lambda a, b, f=f: (f(a, b), None), function=name)
case("pair with itself", "pair_self", {"a": draw(3, 4)}, lambda a: (a * a, None))

for name, f in [
    ("sum", lambda x: x.sum().reshape(1, 1)),
    ("mean", lambda x: x.mean().reshape(1, 1)),
    ("row_sum", lambda x: x.sum(1, keepdim=True)),
    ("column_mean", lambda x: x.mean(0, keepdim=True)),
    ("row_log_sum_exp", lambda x: x.logsumexp(1, keepdim=True)),
]:
    case(f"reduce {name}", "reduce", {"x": draw(3, 5, scale=2.0)}, lambda x, f=f: (f(x), None), over=name)

case("columns", "columns", {"x": draw(3, 6)}, lambda x: (x[:, 2:5], None), range=[2, 5])
case("concat", "concat", {"a": draw(3, 2), "b": draw(3, 4)}, lambda a, b: (torch.cat([a, b], 1), None))
case("matmul", "matmul", {"a": draw(3, 4), "b": draw(4, 5)}, lambda a, b: (a @ b, None))
case("matmul with itself", "matmul_self", {"a": draw(4, 4)}, lambda a: (a @ a, None))
case("detach", "detach", {"x": draw(3, 4)}, lambda x: (x * x.detach(), None))
case("leaf", "leaf", {"x": draw(3, 4)}, lambda x: (x, None))


# ---------------------------------------------------------------- a whole small network
def network():
    d, heads, hd, mlp, vocab, seq = 8, 2, 4, 12, 11, 6
    p = {"embed": draw(vocab, d, scale=0.7), "positions": draw(seq, d, scale=0.3)}
    for b in range(2):
        p |= {f"{b}.ln1.gain": 1 + draw(1, d, scale=0.2), f"{b}.ln1.shift": draw(1, d, scale=0.2)}
        p |= {f"{b}.qkv": draw(d, 3 * d, scale=0.5), f"{b}.qkv.bias": draw(1, 3 * d, scale=0.2)}
        p |= {f"{b}.proj": draw(d, d, scale=0.4), f"{b}.proj.bias": draw(1, d, scale=0.2)}
        p |= {f"{b}.ln2.gain": 1 + draw(1, d, scale=0.2), f"{b}.ln2.shift": draw(1, d, scale=0.2)}
        p |= {f"{b}.up": draw(d, mlp, scale=0.5), f"{b}.up.bias": draw(1, mlp, scale=0.2)}
        p |= {f"{b}.down": draw(mlp, d, scale=0.4), f"{b}.down.bias": draw(1, d, scale=0.2)}
    p |= {"ln.gain": 1 + draw(1, d, scale=0.2), "ln.shift": draw(1, d, scale=0.2)}
    p = {k: v.float().double() for k, v in p.items()}
    tokens, targets = integers(2 * seq, vocab), integers(2 * seq, vocab)
    targets[3] = IGNORE

    def norm(x, gain, shift):
        return F.layer_norm(x, (d,), gain[0], shift[0], 1e-5)

    def run(**p):
        x = p["embed"][tokens] + p["positions"].repeat(2, 1)
        for b in range(2):
            q = lambda name: p[f"{b}.{name}"]
            h = norm(x, q("ln1.gain"), q("ln1.shift")) @ q("qkv") + q("qkv.bias")
            x = x + attention(h, seq, heads, heads, hd, hd**-0.5) @ q("proj") + q("proj.bias")
            h = norm(x, q("ln2.gain"), q("ln2.shift")) @ q("up") + q("up.bias")
            x = x + F.gelu(h, approximate="tanh") @ q("down") + q("down.bias")
        h = norm(x, p["ln.gain"], p["ln.shift"])
        loss = nll(h @ p["embed"].T, targets)
        return loss[:, None], loss.sum()

    case("network", "network", p, run, {"tokens": tokens, "targets": targets},
         width=d, heads=heads, head_dim=hd, mlp=mlp, seq=seq)


# ---------------------------------------------------------------- optimisers
def optimisers():
    out = []
    for name, make, settings in [
        ("sgd", lambda p: torch.optim.SGD(p, lr=0.1), {}),
        ("sgd momentum decay", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.05),
         {"momentum": 0.9, "decay": 0.05}),
        ("adam", lambda p: torch.optim.Adam(p, lr=0.1), {}),
        ("adam coupled decay", lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.05),
         {"beta1": 0.8, "beta2": 0.95, "eps": 1e-6, "decay": 0.05}),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.2), {"decay": 0.2}),
        ("adamw clipped", lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.95), weight_decay=0.2),
         {"beta1": 0.8, "beta2": 0.95, "decay": 0.2, "clip": 0.7}),
        ("sgd clipped", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.5), {"momentum": 0.5, "clip": 0.7}),
        ("adamw decays matrices only",
         lambda p: torch.optim.AdamW([{"params": p[:1], "weight_decay": 0.2}, {"params": p[1:], "weight_decay": 0.0}],
                                     lr=0.1),
         {"decay": 0.2, "matrices_only": True}),
    ]:
        start = [draw(3, 4), draw(1, 5)]
        gradients = [[draw(3, 4), draw(1, 5)] for _ in range(6)]
        # A step whose gradient is small: clipping must leave it alone.
        gradients[3] = [g * 0 + 0.01 for g in gradients[3]]
        gradients[3] = [g.float().double() for g in gradients[3]]
        params = [s.clone().requires_grad_() for s in start]
        optimiser = make(params)
        path, norms = [], []
        for step in gradients:
            for p, g in zip(params, step):
                p.grad = g.clone()
            if "clip" in settings:
                norms.append(torch.nn.utils.clip_grad_norm_(params, settings["clip"]).item())
            optimiser.step()
            path.append([numbers(p) for p in params])
        out.append({"name": name, "kind": name.split()[0], "settings": settings, "start": [short(s) for s in start],
                    "gradients": [[short(g) for g in s] for s in gradients], "path": path,
                    "norms": [float(f"{n:.8g}") for n in norms]})
    return out


def write(name, cases):
    head = json.dumps({"torch": torch.__version__.split("+")[0]})[1:-1]
    body = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    (HERE / name).write_text(f"{{{head}, \"cases\": [\n{body}\n]}}\n")


if __name__ == "__main__":
    write("ops.json", CASES)
    CASES.clear()
    network()
    write("network.json", CASES)
    write("optimisers.json", optimisers())
    assert math.isfinite(sum(c["objective"] for c in CASES))
