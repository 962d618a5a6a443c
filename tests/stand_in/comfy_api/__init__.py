"""Stand-in for the parts of ComfyUI's ``comfy_api`` that a node package meets."""
