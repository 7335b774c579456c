"""Runs notebooks headless in sessions of their own, and says what became of them.

`notebook` reads what is committed, with the line of each cell; `running` has a kernel run it; `comparing` holds outputs
against those that are committed; `checker` is the loop: it takes what is wanted (`binder.store.notebook_runs`), starts
a session of the build's image for each notebook, and ends it afterwards.

Whoever wants notebooks run that no binder.yml names (a workflow, say) calls `want_runs` with the build, their paths and
how they are to be run, and reads `runs_of_build` until each has an `outcome`. Where the build is still being checked,
and waits for notebooks of its own, it waits for these too; one that has succeeded stays so, whatever they come to.
"""
