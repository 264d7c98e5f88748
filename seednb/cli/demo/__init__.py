"""Base and SEED captions of the same pictures: in the terminal, as a page, and served."""
