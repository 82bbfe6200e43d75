"""What an operator runs: facts, plans, the engine and its journal."""
