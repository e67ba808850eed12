"""What a target needs from what a candidate is: torch → onnx, scikit-learn → onnx; checked for parity."""
