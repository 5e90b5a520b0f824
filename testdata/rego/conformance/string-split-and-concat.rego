# opa: [["a","b","c"],["a","b","c"],[""],"a/b","a,b"]
package t

result := [split("a/b/c", "/"), split("abc", ""), split("", "/"), concat("/", ["a", "b"]), concat(",", {"b", "a"})]
