"""The loaders of the node packages that people use most, where the rule is not enough.

Most packages list a folder type as ComfyUI does, and are found by the rule alone. Sources are files of the
packages' repositories on GitHub, read in November 2026.
"""

from __future__ import annotations

from .loader_row import ENTRIES, LORAS_IN_TEXT, WITHIN, Loader, rows

_CLIP = ("text_encoders", "clip_gguf")

PACKS: tuple[Loader, ...] = (
    *rows(
        "city96/ComfyUI-GGUF, nodes.py",
        ("UnetLoaderGGUF", "unet_name", "unet_gguf"),
        ("UnetLoaderGGUFAdvanced", "unet_name", "unet_gguf"),
        ("CLIPLoaderGGUF", "clip_name", _CLIP),
        ("DualCLIPLoaderGGUF", "clip_name1", _CLIP),
        ("DualCLIPLoaderGGUF", "clip_name2", _CLIP),
        ("TripleCLIPLoaderGGUF", "clip_name*", _CLIP),
        ("QuadrupleCLIPLoaderGGUF", "clip_name*", _CLIP),
    ),
    *rows(
        "ltdrdata/ComfyUI-Impact-Pack, modules/impact/impact_pack.py and wildcards.py",
        ("ImpactWildcardEncode", "populated_text", "loras"),
        ("ImpactWildcardEncode", "wildcard_text", "loras"),
        ("FaceDetailer", "wildcard", "loras"),
        ("DetailerForEach", "wildcard", "loras"),
        ("DetailerForEachDebug", "wildcard", "loras"),
        kind=LORAS_IN_TEXT,
        front=("model",),
    ),
    *rows(
        "ltdrdata/ComfyUI-Impact-Pack, modules/impact/impact_pack.py and pipe.py",
        ("DetailerForEachPipe", "wildcard", "loras"),
        ("DetailerForEachDebugPipe", "wildcard", "loras"),
        ("DetailerForEachPipeForAnimateDiff", "wildcard", "loras"),
        ("BasicPipeToDetailerPipe", "wildcard", "loras"),
        ("EditDetailerPipe", "wildcard", "loras"),
        kind=LORAS_IN_TEXT,
        front=("basic_pipe", "detailer_pipe"),
    ),
    *rows(
        "ltdrdata/ComfyUI-Impact-Pack, modules/impact/impact_pack.py",
        ("SAMLoader", "model_name", "sams"),
        ("ONNXDetectorProvider", "model_name", "onnx"),
    ),
    *(
        Loader(node, "model_name", (f"ultralytics_{part}",), WITHIN, f"{part}/(.+)", source=source)
        for part in ("bbox", "segm")
        for node, source in (
            ("UltralyticsDetectorProvider", "ltdrdata/ComfyUI-Impact-Subpack, modules/subpack_nodes.py"),
            ("easy ultralyticsDetectorPipe", "yolain/ComfyUI-Easy-Use, py/nodes/fix.py"),
        )
    ),
    *rows(
        "ltdrdata/ComfyUI-Inspire-Pack, inspire/prompt_support.py",
        ("WildcardEncode //Inspire", "populated_text", "loras"),
        ("WildcardEncode //Inspire", "wildcard_text", "loras"),
        kind=LORAS_IN_TEXT,
        front=("model",),
    ),
    *rows(
        "rgthree/rgthree-comfy, py/power_lora_loader.py",
        ("Power Lora Loader (rgthree)", "lora_*", "loras"),
        kind=ENTRIES,
        front=("model", "clip"),
    ),
    *rows(
        "rgthree/rgthree-comfy, py/power_prompt.py and power_prompt_utils.py",
        ("Power Prompt (rgthree)", "prompt", "loras"),
        kind=LORAS_IN_TEXT,
        front=("opt_model", "opt_clip"),
    ),
    # Lora-Manager refuses a prompt whose `loras` name a file that is not here; of a wire it asks nothing.
    *rows(
        "willmiao/ComfyUI-Lora-Manager, py/nodes/*.py",
        ("Lora Loader (LoraManager)", "loras", "loras"),
        ("Lora Stacker (LoraManager)", "loras", "loras"),
        ("Lora Randomizer (LoraManager)", "loras", "loras"),
        ("Create Hook LoRA (LoraManager)", "loras", "loras"),
        ("WanVideo Lora Select (LoraManager)", "loras", "loras"),
        kind=ENTRIES,
    ),
    *rows(
        "willmiao/ComfyUI-Lora-Manager, py/nodes/*.py",
        ("LoRA Text Loader (LoraManager)", "lora_syntax", "loras"),
        ("WanVideo Lora Select From Text (LoraManager)", "lora_syntax", "loras"),
        kind=LORAS_IN_TEXT,
    ),
    *rows(
        "willmiao/ComfyUI-Lora-Manager, py/nodes/checkpoint_loader.py and unet_loader.py",
        ("Checkpoint Loader (LoraManager)", "ckpt_name", "checkpoints"),
        ("Unet Loader (LoraManager)", "unet_name", ("diffusion_models", "unet_gguf")),
    ),
    *rows(
        "asagi4/comfyui-prompt-control, prompt_control/nodes_lazy.py and nodes_hooks.py",
        ("PCLazyLoraLoader", "text", "loras"),
        ("PCLazyLoraLoaderAdvanced", "text", "loras"),
        ("PCLoraHooksFromText", "text", "loras"),
        kind=LORAS_IN_TEXT,
        front=("model", "clip"),
    ),
    *rows(
        "jags111/efficiency-nodes-comfyui, efficiency_nodes.py",
        ("Efficient Loader", "ckpt_name", "checkpoints"),
        ("Efficient Loader", "vae_name", "vae"),
        ("Efficient Loader", "lora_name", "loras"),
        ("Eff. Loader SDXL", "base_ckpt_name", "checkpoints"),
        ("Eff. Loader SDXL", "refiner_ckpt_name", "checkpoints"),
        ("Eff. Loader SDXL", "vae_name", "vae"),
        ("LoRA Stacker", "lora_name_*", "loras"),
        ("HighRes-Fix Script", "hires_ckpt_name", "checkpoints"),
        ("HighRes-Fix Script", "pixel_upscaler", "upscale_models"),
        ("HighRes-Fix Script", "control_net_name", "controlnet"),
    ),
    *rows(
        "cubiq/ComfyUI_IPAdapter_plus, IPAdapterPlus.py",
        ("IPAdapterModelLoader", "ipadapter_file", "ipadapter"),
    ),
    *rows(
        "Kosinkadink/ComfyUI-AnimateDiff-Evolved, animatediff/nodes_gen1.py, nodes_gen2.py and nodes_lora.py",
        ("ADE_LoadAnimateDiffModel", "model_name", "animatediff_models"),
        ("ADE_AnimateDiffLoaderGen1", "model_name", "animatediff_models"),
        ("ADE_AnimateDiffLoaderWithContext", "model_name", "animatediff_models"),
        ("ADE_LoadAnimateDiffModelWithCameraCtrl", "model_name", "animatediff_models"),
        ("ADE_LoadAnimateDiffModelWithCameraCtrl", "camera_ctrl", "animatediff_models"),
        ("ADE_AnimateDiffLoRALoader", "name", "animatediff_motion_lora"),
    ),
    *rows(
        "kijai/ComfyUI-WanVideoWrapper, nodes.py",
        ("WanVideoModelLoader", "model", ("diffusion_models", "unet_gguf")),
        ("WanVideoVAELoader", "model_name", "vae"),
        ("LoadWanVideoT5TextEncoder", "model_name", "text_encoders"),
        ("LoadWanVideoClipTextEncoder", "model_name", ("clip_vision", "text_encoders")),
        ("WanVideoLoraSelect", "lora", "loras"),
    ),
    *rows(
        "kijai/ComfyUI-KJNodes, nodes/model_optimization_nodes.py and nodes.py",
        ("DiffusionModelSelector", "model_name", ("diffusion_models", "text_encoders")),
        ("DiffusionModelLoaderKJ", "model_name", "diffusion_models"),
        ("CheckpointLoaderKJ", "ckpt_name", "checkpoints"),
        ("VAELoaderKJ", "vae_name", ("vae", "vae_approx")),
        ("GGUFLoaderKJ", "model_name", "unet_gguf"),
    ),
    *rows(
        "Suzie1/ComfyUI_Comfyroll_CustomNodes, nodes/nodes_lora.py and nodes_controlnet.py",
        ("CR Load LoRA", "lora_name", "loras"),
        ("CR LoRA Stack", "lora_name_*", "loras"),
        ("CR Multi-ControlNet Stack", "controlnet_*", "controlnet"),
    ),
    *rows(
        "yolain/ComfyUI-Easy-Use, py/nodes/loaders.py",
        *(
            (node, name, folder_type)
            for node in ("easy fullLoader", "easy a1111Loader", "easy comfyLoader")
            for name, folder_type in (
                ("ckpt_name", "checkpoints"),
                ("vae_name", "vae"),
                ("lora_name", "loras"),
            )
        ),
        ("easy cascadeLoader", "stage_c", ("diffusion_models", "checkpoints")),
        ("easy cascadeLoader", "stage_b", ("diffusion_models", "checkpoints")),
        ("easy cascadeLoader", "stage_a", "vae"),
        ("easy loraStack", "lora_*_name", "loras"),
        ("easy controlnetStack", "controlnet_*", "controlnet"),
    ),
    *rows(
        "pythongosssss/ComfyUI-Custom-Scripts, py/better_combos.py",
        ("LoraLoader|pysssss", "lora_name", "loras"),
        ("CheckpointLoader|pysssss", "ckpt_name", "checkpoints"),
    ),
)
