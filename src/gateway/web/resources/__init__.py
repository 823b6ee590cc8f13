"""The API's calls, one module a resource; each has its bodies, its answers and its list ROUTES."""
