"""Loss, hidden states and gradients of small transformers, from PyTorch in double precision.

    python make.py            writes gpt.json beside itself

The mathematics is written out below, with the weights under Lobe's names and shapes; nothing but
torch is used. Parameters have three decimals, so both sides start from the same numbers.
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F

generator = torch.Generator().manual_seed(20250901)
VOCAB, SEQ, WIDTH = 11, 5, 8

GPT2 = dict(vocab=VOCAB, context=SEQ, layers=2, width=WIDTH, heads=2, mlp=12, activation="gelu-tanh", tied=True)
SHAPES = {
    "gpt": {**GPT2, "activation": "gelu", "tied": False, "heads": 4, "head_dim": 3, "logit_scale": 0.5},
    "gpt-2": GPT2,
    "gpt-neo": {**GPT2, "heads": 4, "qkv_bias": False, "scale_attention": False, "window": 2,
                "window_odd_blocks": True, "head_bias": True},
    "llama": {**GPT2, "heads": 4, "kv_heads": 2, "head_dim": 2, "activation": "swiglu", "norm": "rms",
              "norm_eps": 1e-6, "positions": "rotary", "rotary_base": 100.0, "qkv_bias": False,
              "out_bias": False, "mlp_bias": False, "tied": False},
    "relu, biases without norm shifts": {**GPT2, "activation": "relu", "norm": "rms", "heads": 2, "window": 3},
}
DEFAULTS = dict(kv_heads=0, head_dim=0, activation="gelu", norm="layer", norm_eps=1e-5, positions="learned",
                rotary_base=1e4, qkv_bias=True, out_bias=True, mlp_bias=True, scale_attention=True, window=0,
                window_odd_blocks=False, tied=False, head_bias=False, logit_scale=1.0)


def draw(*shape, shift=0.0):
    x = shift + 0.4 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return (x * 1000).round().div(1000).float().double().requires_grad_()


def parameters(c):
    d, hd = c["width"], c["head_dim"]
    p = {"embed.tokens": draw(c["vocab"], d)}
    if c["positions"] == "learned":
        p["embed.positions"] = draw(c["context"], d)

    def norm(name):
        p[f"{name}.gain"] = draw(d, shift=1.0)
        if c["norm"] == "layer":
            p[f"{name}.shift"] = draw(d)

    def linear(name, rows, cols, bias):
        p[f"{name}.weight"] = draw(rows, cols)
        if bias:
            p[f"{name}.bias"] = draw(cols)

    for i in range(c["layers"]):
        b = f"blocks.{i}"
        norm(f"{b}.norm1")
        linear(f"{b}.attn.qkv", d, (c["heads"] + 2 * c["kv_heads"]) * hd, c["qkv_bias"])
        linear(f"{b}.attn.out", c["heads"] * hd, d, c["out_bias"])
        norm(f"{b}.norm2")
        linear(f"{b}.mlp.in", d, (2 if c["activation"] == "swiglu" else 1) * c["mlp"], c["mlp_bias"])
        linear(f"{b}.mlp.out", c["mlp"], d, c["mlp_bias"])
    norm("final")
    if not c["tied"]:
        p["head.weight"] = draw(d, c["vocab"])
    if c["head_bias"]:
        p["head.bias"] = draw(c["vocab"])
    return p


def rotate(x, base):
    """x [batch, heads, seq, head_dim]; pairs are (i, i + head_dim / 2)."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[-2]).double()[:, None] * base ** (-torch.arange(half).double() / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


def hidden(c, p, ids):
    d, hd, (n, s) = c["width"], c["head_dim"], ids.shape

    def norm(x, name):
        if c["norm"] == "layer":
            return F.layer_norm(x, (d,), p[f"{name}.gain"], p[f"{name}.shift"], c["norm_eps"])
        return x / (x.pow(2).mean(-1, keepdim=True) + c["norm_eps"]).sqrt() * p[f"{name}.gain"]

    def linear(x, name):
        return x @ p[f"{name}.weight"] + p.get(f"{name}.bias", 0.0)

    x = p["embed.tokens"][ids]
    if c["positions"] == "learned":
        x = x + p["embed.positions"][:s]
    for i in range(c["layers"]):
        b = f"blocks.{i}"
        qkv = linear(norm(x, f"{b}.norm1"), f"{b}.attn.qkv").view(n, s, -1, hd).transpose(1, 2)
        q, k, v = qkv.split([c["heads"], c["kv_heads"], c["kv_heads"]], 1)
        if c["positions"] == "rotary":
            q, k = rotate(q, c["rotary_base"]), rotate(k, c["rotary_base"])
        group = c["heads"] // c["kv_heads"]
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        logits = q @ k.transpose(-1, -2) / (math.sqrt(hd) if c["scale_attention"] else 1.0)
        back = torch.arange(s)[:, None] - torch.arange(s)[None]
        seen = back >= 0
        if c["window"] and (not c["window_odd_blocks"] or i % 2):
            seen = seen & (back < c["window"])
        z = logits.masked_fill(~seen, float("-inf")).softmax(-1) @ v
        x = x + linear(z.transpose(1, 2).reshape(n, s, -1), f"{b}.attn.out")
        u = linear(norm(x, f"{b}.norm2"), f"{b}.mlp.in")
        if c["activation"] == "swiglu":
            gate, up = u.chunk(2, -1)
            u = F.silu(gate) * up
        elif c["activation"] == "relu":
            u = F.relu(u)
        else:
            u = F.gelu(u, approximate="tanh" if c["activation"] == "gelu-tanh" else "none")
        x = x + linear(u, f"{b}.mlp.out")
    return norm(x, "final")


def short(t, digits):
    return [float(f"{v:.{digits}g}") for v in t.detach().reshape(-1).tolist()]


cases = []
for name, shape in SHAPES.items():
    c = {**DEFAULTS, **shape}
    c["kv_heads"] = c["kv_heads"] or c["heads"]
    c["head_dim"] = c["head_dim"] or c["width"] // c["heads"]
    p = parameters(c)
    tokens = torch.randint(0, VOCAB, (2, SEQ + 1), generator=generator)
    h = hidden(c, p, tokens[:, :-1])
    head = p["embed.tokens"].t() if c["tied"] else p["head.weight"]
    logits = c["logit_scale"] * (h @ head) + p.get("head.bias", 0.0)
    loss = F.cross_entropy(logits.reshape(-1, VOCAB), tokens[:, 1:].reshape(-1))
    grads = torch.autograd.grad(loss, list(p.values()))
    cases.append({
        "name": name,
        "config": shape,
        "tokens": tokens.tolist(),
        "loss": float(f"{loss.item():.9g}"),
        "logits": short(logits, 6),
        "params": {k: [round(v, 3) for v in t.detach().reshape(-1).tolist()] for k, t in p.items()},
        "grads": {k: short(g, 6) for k, g in zip(p, grads)},
    })
text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
(pathlib.Path(__file__).parent / "gpt.json").write_text(f"[\n{text}\n]\n")
