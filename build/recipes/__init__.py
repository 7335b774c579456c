"""What a repository asks for, read from its configuration files. Pure: nothing is run, fetched or written."""
