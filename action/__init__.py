"""What a workflow meets: a GitHub Action that runs on its own, of one file."""
