# opa: [["a","b"]]
package t

result := graph.reachable_paths({"a": ["b"], "b": []}, ["a"])
