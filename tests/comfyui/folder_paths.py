"""Stand-in for ComfyUI's ``folder_paths``: the true signatures, below one folder that a test sets."""

base_path = ""


def get_user_directory() -> str:
    return f"{base_path}/user"


def get_temp_directory() -> str:
    return f"{base_path}/temp"


def get_output_directory() -> str:
    return f"{base_path}/output"


def get_input_directory() -> str:
    return f"{base_path}/input"
