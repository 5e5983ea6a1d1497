"""Loss terms: pure functions of tensors, computed in fp32."""
