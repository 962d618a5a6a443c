"""Stand-in for ComfyUI's ``nodes``: only what a node package looks at, as in core 0.3.64."""

NODE_CLASS_MAPPINGS: dict[str, type] = {}


class LoadImage:
    def load_image(self, image: str) -> None:
        raise NotImplementedError
