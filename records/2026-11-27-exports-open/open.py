"""Opens exported directories with `transformers`, encodes a prompt with their tokenizer, and prints the likeliest
next tokens: what `lobe sample --model DIR --prompt PROMPT --logits 3` prints.

    python open.py PROMPT DIR...        needs torch and transformers
"""

import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

print(f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}")
for directory in sys.argv[2:]:
    model, info = AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True, dtype=torch.float32)
    assert not any(info[key] for key in ["missing_keys", "unexpected_keys", "mismatched_keys"]), info
    tokenizer = AutoTokenizer.from_pretrained(directory)
    ids = tokenizer(sys.argv[1], return_tensors="pt").input_ids
    with torch.no_grad():
        values, best = model.eval()(ids).logits[0, -1].topk(3)
    marks = model.generation_config.bos_token_id, model.generation_config.eos_token_id
    print(f"{directory}: begin and end {marks}, ids {ids[0].tolist()}")
    for token, value in zip(best.tolist(), values.tolist()):
        print(f"{token:8}  {value:10.4f}")
