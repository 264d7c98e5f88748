"""What tests of models look at where no file is needed."""

import torch

from seednb.model.inputs.pixels import ImageReader


class Noise(ImageReader):
    """Images made of seeded noise, in place of files."""

    def __init__(self):
        pass

    def pixels(self, name):
        return torch.randn(3, 96, 96, generator=torch.Generator().manual_seed(int(name)))
