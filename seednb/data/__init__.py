"""Annotations, instruction pairs, images and questions, from COCO's and LLaVA-Instruct's files."""
