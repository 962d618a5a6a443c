"""A prompt whose values names may have in them, and what becomes of a name."""

from datetime import datetime

from cloud_storage.saving.names import NameContext, Template

NOW = datetime(2024, 3, 5, 7, 8, 9)

PROMPT = {
    "3": {
        "class_type": "KSampler",
        "inputs": {"seed": 42, "cfg": 7.5, "denoise": 1.0, "latent_image": ["5", 0], "model": ["4", 0]},
        "_meta": {"title": "Base"},
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "SDXL/v1.0.safetensors"}},
    "5": {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": ["8", 0], "height": 768, "batch_size": ["9", 0]},
    },
    "6": {
        "class_type": "CLIPTextEncode",
        "inputs": {"text": 'a "cat": 50%\n/%seed%'},
        "_meta": {"title": "Positive v1.5"},
    },
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "dog"}, "_meta": {"title": "Negative"}},
    "8": {"class_type": "PrimitiveInt", "inputs": {"value": 1024}, "_meta": {"title": "Width"}},
    "9": {"class_type": "Math", "inputs": {"value": "a*b", "a": ["8", 0]}, "_meta": {"title": "Math"}},
    "10": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "11": {"class_type": "Switches", "inputs": {"on": True, "none": None, "sizes": {"__value__": [1, 2.0]}}},
    "12": {"class_type": "SaveImageToCloud", "inputs": {"images": ["10", 0], "filename": "x"}},
}


def key(filename, key_prefix="", extension="png", **context):
    return Template(key_prefix, filename, extension).name(NameContext(NOW, **context)).fixed()


def filled(filename, **context):
    return key(filename, extension="", **{"prompt": PROMPT, "node_id": "12", **context})
