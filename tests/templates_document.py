"""`docs/templates.md`: what an operator's templates may ask for, drawn from ours."""

from templates.replacing import is_rendered, parameters_of, template_names

_INTRODUCTION = """\
# Templates

Drawn from `templates/` by `make docs`. `BINDER_TEMPLATES` names a folder of yours whose files take the place of ours by
their paths: `haproxy.cfg`, `pages/front.html`, `manifests/session.json`. It is checked at the start, and what is wrong
with a file is said with its name and line: one that takes the place of none of ours, one that cannot be read as a
template, one that asks for a value that it is not given.

- Text is [Jinja2](https://jinja.palletsprojects.com/), strict. `{% extends "ours/pages/front.html" %}` takes in ours by
  the name that yours has; what yours takes in besides lies below `own/` in your folder.
- JSON is parsed first, and values are put into its texts: one that is only `{{ value }}` becomes the value with its own
  type.
- Values are escaped for HTML, XML and SVG. For a shell, write `{{ value | shell }}`, for HAProxy
  `{{ value | haproxy }}`. In a Containerfile a value is one line, in HAProxy's configuration one word, and any other is
  refused.
- What images are made with (`build/`, `images/`) is part of what they are known by: a change of such a file builds
  anew. On a cluster, builders are given those of `build/` with their orders.
- `binder render OWNER/NAME` shows the manifests of a session as they would be applied.

## Parameters by scope

- **binder**: the templates below are given what the table says.
- **module**: texts under `client` and `seeds` of a `module.yml` are given the module's parameters, its secrets and
  `hosts.COMPONENT`; a seed `file` besides.
- **component**: `components/COMPONENT.json` of a module is given what its module is, `index` (which replica it is,
  from 0) and `memory_bytes`.

In modules `{{ name }}` and `{{ name | urlencode }}` are all that there is: they may be a stranger's.

## Templates, and what they are given

Pages are given `nonce`, `asset` and `version_of` besides.

| template | values |
|---|---|
"""


def templates_page() -> str:
    """Return `docs/templates.md`."""
    lines = []
    for name in template_names():
        if name.startswith("sandbox/"):
            continue  # of the demo's stand-in for GitHub
        asked = ", ".join(f"`{one}`" for one in parameters_of(name)) or (
            "none" if is_rendered(name) else "used as it is"
        )
        lines.append(f"| `{name}` | {asked} |")
    return _INTRODUCTION + "\n".join(lines) + "\n"
