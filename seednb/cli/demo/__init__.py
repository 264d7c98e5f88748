"""Base and SEED captions of the same images: in the terminal, as a page, and served."""
