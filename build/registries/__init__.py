"""Images as OCI's specifications have them: written as a layout, or sent to a registry over HTTP."""
