"""What the rows of packages find in the values that these packages save."""

from __future__ import annotations

import pytest
from cloud_storage.library import named_models

FOUND = [
    ("UltralyticsDetectorProvider", {"model_name": "bbox/face.pt"}, [("ultralytics_bbox", "face.pt")]),
    ("UltralyticsDetectorProvider", {"model_name": "segm/a/b.pt"}, [("ultralytics_segm", "a/b.pt")]),
    ("ImpactWildcardEncode", {"populated_text": "x <lora:a:1:0.5:LBW=MIDD;> y"}, [("loras", "a")]),
    ("LoRA Stacker", {"lora_name_1": "a.safetensors", "lora_name_2": "None"}, [("loras", "a.safetensors")]),
    ("CLIPLoaderGGUF", {"clip_name": "t5.gguf"}, [("text_encoders", "t5.gguf")]),
    (
        "Lora Loader (LoraManager)",
        {"text": "<lora:a:1>", "loras": {"__value__": [{"name": "a", "strength": "1", "active": True}]}},
        [("loras", "a")],
    ),
    (
        "Power Lora Loader (rgthree)",
        {
            "lora_1": {"on": True, "lora": "a.safetensors", "strength": 1},
            "PowerLoraLoaderHeaderWidget": {"type": "x"},
        },
        [("loras", "a.safetensors")],
    ),
    ("LoraLoader|pysssss", {"lora_name": "a.safetensors", "prompt": "x"}, [("loras", "a.safetensors")]),
    ("easy loraStack", {"lora_1_name": "a.safetensors", "toggle": True}, [("loras", "a.safetensors")]),
]


@pytest.mark.parametrize(("node", "inputs", "expected"), FOUND, ids=[row[0] for row in FOUND])
def test_a_name_is_found_in_the_value(node, inputs, expected):
    named = named_models.in_prompt({"1": {"class_type": node, "inputs": inputs}})
    assert [(one.row.types[0], one.name) for one in named if one.name != "None"] == expected
