"""What a user declares: nodes, edges, conditions, prompts and questions."""
