"""Stand-in for the parts of ComfyUI's ``comfy`` package that a node package meets."""
