"""What is kept and nobody needs any more: found, chosen, and removed only while it is not in use."""
