"""The pocket world: generated scenes in the real COCO and LLaVA-Instruct file formats."""
