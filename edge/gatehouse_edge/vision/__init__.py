"""Throw detection at the gateway: frames in, proven throws out. Pure but for the process, the model files and the clips.

stack (repeats, background, where something moves) -> detector (ONNX on those tiles) -> tracks (hypotheses in capture
time) -> classifier (ONNX on track features) -> origin (floor interval) -> evidence.
"""
