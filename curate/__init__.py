"""Build image–text training sets that can be accounted for, picture by picture."""
