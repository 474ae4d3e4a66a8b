"""One module per exercise, named after what the learner writes; ``engine`` judges the answers."""
