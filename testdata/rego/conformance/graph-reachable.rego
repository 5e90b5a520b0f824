# opa: [["a","b","c"],["a"]]
package t

result := [graph.reachable({"a": ["b"], "b": ["c"], "c": ["a"]}, ["a"]), graph.reachable({"a": {"x"}}, {"a"})]
