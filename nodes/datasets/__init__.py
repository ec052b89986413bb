"""Nodes for collections of pictures and texts that models are trained with."""
