"""Trains the pocket checkpoint: a genuine, tiny LLaVA that sees well and invents from its prior."""
