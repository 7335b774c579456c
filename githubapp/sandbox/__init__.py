"""Our stand-in for GitHub: a small real GitHub in one process, the same one in the demo and in the tests.

Owns what a GitHub App meets there: git over HTTP, the REST calls that we make, signed deliveries, the pages of commits
and pull requests with their buttons, the making of Apps from manifests, people who sign in, the identities of jobs, and
faults on demand. It plays somebody else's system, so it imports nothing of the project but
`templates`, and nothing of the project imports it outside of tests and the demo.

`githubapp.sandbox.sandbox.Sandbox` is the way in; `python -m githubapp.sandbox` runs it on its own.
"""
