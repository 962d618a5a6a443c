"""Names of objects and words of servers that some page takes for more than text."""

RAN = "window.ran_script"  # true in a page where one of these has run

IMAGE = f"x<img src=x onerror={RAN}=true>.png"
TEXTS = (
    IMAGE,
    f"<svg onload={RAN}=true>.png",
    f"<script>{RAN}=true</script>.png",
    f"&lt;img src=x onerror={RAN}=true&gt;.png",
    "[[Sign in|https://evil.example]].png",
    "[[[Sign in|https://evil.example]]].png",
    f"[[<img src=x onerror={RAN}=true>|https://evil.example]].png",
    f'[[a|https://evil.example" onclick="{RAN}=true]].png',
    "__LNK0__.png",
    "<a href=https://evil.example>Sign in</a>.png",
    "https://evil.example/a.png",
    "HTTP://evil.example/a.png",
    "www.evil.example/a.png",
    f'" onload="{RAN}=true.png',
    f"javascript:{RAN}=true.png",
    f"![](x)[a](javascript:{RAN}=true).png",
    "![](//evil.example/a.png).png",
    "[a](//evil.example).png",
    "[b]: //evil.example\n\n[b].png",
    "someone@evil.example",
    "*`a`*.png",
)
NAMES = tuple(text for text in TEXTS if "\n" not in text)  # that a key of ours may have

# What any of them would have made in a page, as selectors.
MADE = (
    *("img[src=x]", "img[src^='//evil' i]", "svg[onload]", "[onclick]", "a[href^=mailto]"),
    "a[href^=javascript]",
    *(f"a[href^='{begin}evil' i]" for begin in ("//", "http://", "https://", "http://www.")),
)
