"""SEED (self-evolving distillation against visual hallucination), step by step."""

__version__ = "0.1.0"
