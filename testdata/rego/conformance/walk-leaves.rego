# input: {"a":{"b":[1,{"c":2}]}}
# opa: {"a/b/0":1,"a/b/1/c":2}
package t

result := {concat("/", [sprintf("%v", [s]) | some s in path]): v | walk(input, [path, v]); is_number(v)}
