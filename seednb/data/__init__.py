"""From COCO and LLaVA-Instruct files to tokens and pixels."""
