"""What a service cannot make again, in one file: `archive` says what is in it, `rows` brings a store into it and back.

Nobody but `binder backup` and `binder restore` uses these.
"""
