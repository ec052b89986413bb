"""Fragment shaders on pictures: the node, and the process of its own in which OpenGL runs."""
