"""The loaders of ComfyUI 0.3.64 and 0.33 itself, all of them: ``tests/real_comfyui/test_library.py``."""

from __future__ import annotations

from .loader_row import STANDS_FOR, Loader, rows

_NODES = "core, nodes.py"
_IMAGE_TAES = ("taesd", "taesdxl", "taesd3", "taef1", "taef2")
# Names for which a loader takes two files, by their beginnings (VAELoader.load_taesd)
STANDS_FOR_FILES = {name: (f"{name}_encoder.", f"{name}_decoder.") for name in _IMAGE_TAES}
_VIDEO_TAES = r"(taehv|lighttaew2_2|lighttaew2_1|lighttaehy1_5|taeltx_2|taeh3)\."

CORE: tuple[Loader, ...] = (
    *rows(
        _NODES,
        ("CheckpointLoader", "config_name", "configs"),
        ("CheckpointLoader", "ckpt_name", "checkpoints"),
        ("CheckpointLoaderSimple", "ckpt_name", "checkpoints"),
        ("unCLIPCheckpointLoader", "ckpt_name", "checkpoints"),
        ("LoraLoader", "lora_name", "loras"),
        ("LoraLoaderModelOnly", "lora_name", "loras"),
        ("VAELoader", "vae_name", "vae"),
    ),
    Loader("VAELoader", "vae_name", ("vae_approx",), names=_VIDEO_TAES, source=_NODES),
    Loader("VAELoader", "vae_name", ("vae_approx",), STANDS_FOR, source=_NODES),
    *rows(
        _NODES,
        ("ControlNetLoader", "control_net_name", "controlnet"),
        ("DiffControlNetLoader", "control_net_name", "controlnet"),
        ("UNETLoader", "unet_name", "diffusion_models"),
        ("CLIPLoader", "clip_name", "text_encoders"),
        ("DualCLIPLoader", "clip_name1", "text_encoders"),
        ("DualCLIPLoader", "clip_name2", "text_encoders"),
        ("CLIPVisionLoader", "clip_name", "clip_vision"),
        ("StyleModelLoader", "style_model_name", "style_models"),
        ("GLIGENLoader", "gligen_name", "gligen"),
    ),
    *rows("core, comfy_extras/nodes_sd3.py", ("TripleCLIPLoader", "clip_name*", "text_encoders")),
    *rows("core, comfy_extras/nodes_hidream.py", ("QuadrupleCLIPLoader", "clip_name*", "text_encoders")),
    *rows("core, comfy_extras/nodes_model_patch.py", ("ModelPatchLoader", "name", "model_patches")),
    *rows(
        "core, comfy_extras/nodes_upscale_model.py", ("UpscaleModelLoader", "model_name", "upscale_models")
    ),
    *rows("core, comfy_extras/nodes_train.py", ("TrainLoraNode", "existing_lora", "loras")),
    *rows(
        "core, comfy_extras/nodes_video_model.py", ("ImageOnlyCheckpointLoader", "ckpt_name", "checkpoints")
    ),
    *rows(
        "core, comfy_extras/nodes_hypernetwork.py",
        ("HypernetworkLoader", "hypernetwork_name", "hypernetworks"),
    ),
    *rows(
        "core, comfy_extras/nodes_audio_encoder.py",
        ("AudioEncoderLoader", "audio_encoder_name", "audio_encoders"),
    ),
    *rows(
        "core, comfy_extras/nodes_photomaker.py", ("PhotoMakerLoader", "photomaker_model_name", "photomaker")
    ),
    *rows(
        "core, comfy_extras/nodes_hooks.py",
        ("CreateHookLora", "lora_name", "loras"),
        ("CreateHookLoraModelOnly", "lora_name", "loras"),
        ("CreateHookModelAsLora", "ckpt_name", "checkpoints"),
        ("CreateHookModelAsLoraModelOnly", "ckpt_name", "checkpoints"),
    ),
    *rows(
        "core 0.33, comfy_extras/nodes_lora_debug.py",
        ("LoraLoaderBypass", "lora_name", "loras"),
        ("LoraLoaderBypassModelOnly", "lora_name", "loras"),
    ),
    *rows(
        "core 0.33, comfy_extras/nodes_lt_audio.py",
        ("LTXVAudioVAELoader", "ckpt_name", "checkpoints"),
        ("LTXAVTextEncoderLoader", "text_encoder", "text_encoders"),
        ("LTXAVTextEncoderLoader", "ckpt_name", "checkpoints"),
    ),
    *rows(
        "core 0.33, comfy_extras/nodes_hunyuan.py",
        ("LatentUpscaleModelLoader", "model_name", "latent_upscale_models"),
    ),
    *rows(
        "core 0.33, comfy_extras/nodes_bg_removal.py",
        ("LoadBackgroundRemovalModel", "bg_removal_name", "background_removal"),
    ),
    *rows(
        "core 0.33, comfy_extras/nodes_frame_interpolation.py",
        ("FrameInterpolationModelLoader", "model_name", "frame_interpolation"),
    ),
    *rows("core 0.33, comfy_extras/nodes_void.py", ("OpticalFlowLoader", "model_name", "optical_flow")),
    *rows("core 0.33, comfy_extras/nodes_moge.py", ("LoadMoGeModel", "model_name", "geometry_estimation")),
    *rows(
        "core 0.33, comfy_extras/nodes_depth_anything_3.py",
        ("LoadDA3Model", "model_name", "geometry_estimation"),
    ),
    *rows(
        "core 0.33, comfy_extras/nodes_mediapipe.py",
        ("LoadMediaPipeFaceLandmarker", "model_name", "detection"),
    ),
)
