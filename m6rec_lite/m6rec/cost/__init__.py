"""What a training run costs before it is started: parameters, FLOPs, memory, scaling laws."""
