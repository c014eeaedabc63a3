"""Where stacks of heads are trained: in this process or in several."""
