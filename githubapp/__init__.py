"""Everything GitHub meets: deliveries come in here, statuses and comments go out."""
