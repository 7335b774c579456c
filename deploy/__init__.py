"""Makes the engine run what is wanted, no more and no less."""
