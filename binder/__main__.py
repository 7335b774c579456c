"""`python -m binder`: the same as `binder`."""

from binder.cli import main

main()
