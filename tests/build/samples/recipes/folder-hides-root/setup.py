"""Says what a build is to do."""
