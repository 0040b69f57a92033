"""Opens exported models in `transformers` and compares their logits with Lobe's.

    LOBE_EXPORT_DIR=out cargo test -p lobe-nets --test hub -- --ignored models_for_transformers
    python open.py out > opened.txt        needs torch, transformers and safetensors

`opened.txt` beside this file is what it printed last.
"""

import json
import pathlib
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM

print(f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}")
worst = 0.0
for directory in sorted(p for p in pathlib.Path(sys.argv[1]).iterdir() if p.is_dir()):
    expected = json.loads((directory / "expected.json").read_text())
    for attention in ["eager", "sdpa"]:
        try:
            model, info = AutoModelForCausalLM.from_pretrained(
                directory, output_loading_info=True, attn_implementation=attention, dtype=torch.float32)
        except ValueError as e:
            if attention not in str(e) and "scaled_dot_product_attention" not in str(e):
                raise
            print(f"{directory.name:24} {attention:6} not available for this family")
            continue
        for key in ["missing_keys", "unexpected_keys", "mismatched_keys"]:
            assert not info[key], (directory.name, key, info[key])
        count = sum(p.numel() for p in model.parameters())
        assert count == expected["params"], (directory.name, count, expected["params"])
        tokens = torch.tensor(expected["tokens"]).view(-1, expected["seq"])
        with torch.no_grad():
            logits = model.eval()(tokens).logits
        want = torch.tensor(expected["logits"]).view_as(logits)
        error = (logits - want).abs().max().item()
        worst = max(worst, error)
        print(f"{directory.name:24} {attention:6} {count:7} parameters, logits differ by {error:.1e}")
        assert error < 1e-4, directory.name
print(f"worst {worst:.1e}")
