"""What a workflow meets: a GitHub Action that runs on its own. Empty in this version."""
